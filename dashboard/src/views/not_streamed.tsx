/** Answers that came in one piece: no first token to wait for, the whole response time counts. */
import { Selected } from "../app/selected";
import { Cards } from "../parts/cards";
import { IN_ONE_PIECE } from "./cards";

export default function NotStreamed() {
  return (
    <Selected filters={{ streaming: "false" }}>
      <div className="grid">
        <Cards rows={IN_ONE_PIECE} />
      </div>
    </Selected>
  );
}
