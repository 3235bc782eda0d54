/** The program's own texts: back-ticks mark names, and links lead to the documentation, which no installation carries. */

/** Pure: `[Cost](topics/cost.md)` is `Cost (docs/topics/cost.md)`, for whoever has the sources. */
export function withoutLinks(text: string): string {
  return text.replaceAll(/\[([^\]]+)\]\(([^)]+)\)/g, "$1 (docs/$2)");
}

export function Marked({ text }: { text: string }) {
  return withoutLinks(text)
    .split("`")
    .map((part, index) => (index % 2 === 0 ? part : <code key={index}>{part}</code>));
}
