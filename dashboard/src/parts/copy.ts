/** Questions as commands, for people who go on in a terminal. */

/** Pure. The token is named, not told: it is HttpOnly, and a command line is seen by others. */
export function curl(address: string, signedIn: boolean): string {
  const header = signedIn ? '-H "Authorization: Bearer $LLM_METRICS_PROXY_METRICS_TOKEN" ' : "";
  return `curl -s ${header}'${address.replaceAll("'", "%27")}'`;
}

/** `navigator.clipboard` is there for https and loopback only; the old way works anywhere. */
export async function copy(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const box = document.createElement("textarea");
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}
