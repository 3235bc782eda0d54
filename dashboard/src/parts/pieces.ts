/** What the program's own texts are made of: back-ticks mark names, and links lead to the documentation. Pure. */

export type Piece = { readonly kind: "text" | "code"; readonly text: string } | { readonly kind: "link"; readonly text: string; readonly to: string };

const MARKS = /`([^`]+)`|\[([^\]]+)\]\(([^)]+)\)/g;

/** Pure: the pieces of a text in Markdown, as far as the program's texts use it. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(MARKS)) {
    if (match.index > at) found.push({ kind: "text", text: text.slice(at, match.index) });
    const [whole, code, label, to] = match;
    found.push(code === undefined ? { kind: "link", text: label ?? "", to: to ?? "" } : { kind: "code", text: code });
    at = match.index + whole.length;
  }
  if (at < text.length) found.push({ kind: "text", text: text.slice(at) });
  return found;
}

/** Where a link leads: on the web, or to a path of the program. Pages are named as they lie in the sources of the documentation. */
export function leadsTo(to: string): { readonly url: string } | { readonly path: string } {
  return /^https?:/.test(to) ? { url: to } : { path: `/help/${to.replace(/\.md(?=#|$)/, ".html")}` };
}
