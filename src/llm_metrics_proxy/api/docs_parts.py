"""Style and script of the page of the API. Both stand in the page itself, and its policy names them by their hashes."""

from base64 import b64encode
from hashlib import sha256
from typing import Final

STYLE: Final = """
*{box-sizing:border-box}
:root{--bg:#f6f7f9;--surface:#fff;--line:#e1e5ea;--text:#16202c;--muted:#5a6675;--accent:#0b6bcb;--soft:#e4effb;
--good:#12733f;--bad:#b3261e;color-scheme:light}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;
overflow-wrap:anywhere}
a{color:var(--accent)}
code,pre,.method,.type{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.9em}
code{background:var(--soft);padding:.05em .3em;border-radius:4px}
h1{margin:0 0 .3rem;font-size:1.5rem;line-height:1.25}
h2{margin:0;font-size:1rem;line-height:1.4}
h3{margin:1.1rem 0 .3rem;color:var(--muted);font-size:.8rem}
p{margin:.3rem 0}
.page{display:grid;grid-template-columns:17rem minmax(0,1fr);max-width:76rem;margin:0 auto}
nav{position:sticky;top:0;height:100vh;padding:1.4rem 1rem;overflow-y:auto;border-right:1px solid var(--line)}
nav ul{margin:.2rem 0 1rem;padding:0;list-style:none}
nav a{display:block;padding:.2rem .5rem;border-radius:6px;color:var(--text);font-size:.85rem;text-decoration:none}
nav a:hover{background:var(--soft)}
nav b{padding:0 .5rem;color:var(--muted);font-size:.75rem}
main{min-width:0;padding:1.6rem}
main>section{margin:1rem 0;padding:1rem 1.2rem;border:1px solid var(--line);border-radius:10px;
background:var(--surface)}
section:target{border-color:var(--accent)}
.method{color:var(--good);font-weight:700}
dl{margin:0}
dl>div{display:grid;grid-template-columns:minmax(11rem,15rem) minmax(0,1fr);gap:.1rem 1.2rem;padding:.45rem 0;
border-top:1px solid var(--line)}
dl.values>div{grid-template-columns:minmax(11rem,15rem) minmax(0,1fr) minmax(9rem,13rem)}
dt,dd{margin:0;min-width:0}
.type{display:block;color:var(--muted);font-size:.8rem}
.type code{background:none;padding:0}
input,select,button{width:100%;min-height:2rem;padding:.2rem .5rem;border:1px solid var(--line);border-radius:7px;
background:var(--surface);color:var(--text);font:inherit;font-size:.9rem}
button{width:auto;min-height:2.2rem;padding:.2rem 1.1rem;border-color:var(--accent);background:var(--accent);
color:var(--surface);font-weight:600;cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.send{display:flex;flex-wrap:wrap;gap:.4rem .9rem;align-items:center;margin-top:.9rem}
.status{color:var(--muted);font-size:.9rem}
.status b{color:var(--good)}
.status b.bad{color:var(--bad)}
pre{max-height:26rem;margin:.7rem 0 0;padding:.8rem 1rem;border:1px solid var(--line);border-radius:8px;
background:var(--bg);overflow:auto;white-space:pre-wrap}
summary{margin-top:.8rem;color:var(--accent);cursor:pointer}
@media(max-width:56rem){.page{display:block}nav{position:static;height:auto;padding:1rem 1rem 0;border:0}
nav ul{columns:2 9rem}main{padding:1rem}}
@media(max-width:40rem){dl>div,dl.values>div{grid-template-columns:minmax(0,1fr)}main>section{padding:.8rem .9rem}}
@media(prefers-color-scheme:dark){:root{--bg:#0e141b;--surface:#161d26;--line:#2a3441;--text:#e6ebf1;--muted:#9aa7b6;
--accent:#6cb2ff;--soft:#1b2f47;--good:#5fce93;--bad:#ff8a80;color-scheme:dark}}
"""

# GET alone, of this origin, with the cookie that the browser has. An answer without an end (the live stream) is read
# for a few seconds, a long one as far as a reader would scroll.
SCRIPT: Final = """
"use strict";
const MOST = 100000, LONGEST_MS = 4000;
async function read(answer) {
  const reader = answer.body.getReader(), words = new TextDecoder(), end = Date.now() + LONGEST_MS;
  let text = "", cut = "";
  const late = () => new Promise(done => setTimeout(() => done(null), Math.max(0, end - Date.now())));
  for (;;) {
    const part = await Promise.race([reader.read(), late()]);
    if (part === null) { cut = `\\n… the answer goes on; ${LONGEST_MS / 1000} s of it are shown`; break; }
    if (part.done) break;
    text += words.decode(part.value, { stream: true });
    if (text.length > MOST) { text = text.slice(0, MOST); cut = "\\n… the answer is longer than what is shown"; break; }
  }
  reader.cancel().catch(() => {});
  return [text, cut];
}
function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const [status, shown] = [form.querySelector(".status"), form.querySelector("pre")], words = new URLSearchParams();
    let path = form.dataset.path;
    for (const field of form.querySelectorAll("[name]")) {
      if (field.value === "") continue;
      if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
      else words.append(field.name, field.value);
    }
    const address = new URL(`.${path}`, document.URL);
    address.search = words;
    address.hash = "";
    status.textContent = "…";
    shown.hidden = true;
    const begun = performance.now();
    try {
      const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: "application/json, */*" } });
      const [text, cut] = await read(answer), took = Math.round(performance.now() - begun);
      const code = document.createElement("b");
      code.textContent = `${answer.status} ${answer.statusText}`.trim();
      code.className = answer.ok ? "" : "bad";
      status.replaceChildren(code, ` · ${took} ms · ${address.pathname}${address.search}`);
      shown.textContent = pretty(text) + cut;
    } catch (error) {
      status.textContent = `No answer: ${error}`;
      return;
    }
    shown.hidden = false;
  });
}
"""


def source_of(text: str) -> str:
    """How a Content-Security-Policy names a style or script that stands in the page."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
