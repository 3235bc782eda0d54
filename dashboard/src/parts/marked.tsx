/** The program's own texts: back-ticks mark names, and links lead to the documentation, which no installation carries. */
import { Fragment, type ReactNode } from "react";

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

/** Of the web a link; of the sources the page's title, and where it lies there. */
function Linked({ text, to }: { text: string; to: string }): ReactNode {
  if (/^https?:/.test(to))
    return (
      <a href={to} target="_blank" rel="noreferrer">
        {text}
      </a>
    );
  return (
    <>
      {text} (<span className="path">{`docs/${to}`}</span>)
    </>
  );
}

export function Marked({ text }: { text: string }) {
  return pieces(text).map((piece, index) => (
    <Fragment key={index}>{piece.kind === "link" ? <Linked {...piece} /> : piece.kind === "code" ? <code>{piece.text}</code> : piece.text}</Fragment>
  ));
}
