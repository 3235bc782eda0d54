/** Which models answer, how fast, how well, and at what cost. */
import { Cards } from "../parts/cards";
import { MODELS } from "./cards";

export default function Models() {
  return (
    <div className="grid">
      <Cards rows={MODELS} />
    </div>
  );
}
