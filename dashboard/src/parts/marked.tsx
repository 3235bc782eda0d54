/** The program's own texts, with links to the pages that `/help` serves. */
import { Fragment } from "react";

import { address } from "../api/client";
import { leadsTo, pieces } from "./pieces";

function Linked({ text, to }: { text: string; to: string }) {
  const target = leadsTo(to);
  return (
    <a href={"url" in target ? target.url : address(target.path)} target="_blank" rel="noreferrer">
      {text}
    </a>
  );
}

export function Marked({ text }: { text: string }) {
  return pieces(text).map((piece, index) => (
    <Fragment key={index}>{piece.kind === "link" ? <Linked {...piece} /> : piece.kind === "code" ? <code>{piece.text}</code> : piece.text}</Fragment>
  ));
}
