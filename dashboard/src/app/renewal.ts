/** A tab that stays open while the program is replaced: its parts are gone then, and the page that is served has others. */
import { ROOT } from "../api/place";

const KEPT = "renewed-at";
const NOT_AGAIN_MS = 300_000; // longer than any server or proxy lets a part wait: a page that stays broken loads once, not for ever

const OWN = document.querySelector<HTMLScriptElement>("script[type=module][src]")?.src ?? "";
let missed = false;
// Vite tells of every part that could not be loaded
addEventListener("vite:preloadError", () => {
  missed = true;
});

/** The page that is served now: of this build, of another, or none, while the program starts again. */
export type Served = "own" | "other" | "none";

export async function served(): Promise<Served> {
  const page = await fetch(ROOT, { cache: "no-store", credentials: "same-origin" }).then(
    (answer) => (answer.ok ? answer.text() : null),
    () => null,
  );
  if (page === null) return "none";
  return page.includes(OWN.slice(OWN.lastIndexOf("/") + 1)) ? "own" : "other";
}

/** Loads the page again where that helps, once: everything that is chosen stands in its link. */
export async function renew(): Promise<Served> {
  const found = await served();
  const lastMs = Number(sessionStorage.getItem(KEPT) ?? 0);
  if ((found === "other" || (found === "own" && missed)) && Date.now() - lastMs > NOT_AGAIN_MS) {
    sessionStorage.setItem(KEPT, String(Date.now()));
    location.reload();
  }
  return found;
}
