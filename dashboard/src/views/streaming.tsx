/** Answers that were streamed: when the first token came, and how fast the others followed. */
import { Selected } from "../app/selected";
import { Cards } from "../parts/cards";
import { STREAMING } from "./cards";

export default function Streaming() {
  return (
    <Selected filters={{ streaming: "true" }}>
      <div className="grid">
        <Cards rows={STREAMING} />
      </div>
    </Selected>
  );
}
