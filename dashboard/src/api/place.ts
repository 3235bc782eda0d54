/** Where the program stands: at the root of a host or, behind a reverse proxy, below any prefix. Nobody has to say so. */

/** Every view is one step below it, so it is the page's own folder; `api/site.py` sees to the slash at its end. */
export function rootOf(page: string): string {
  return new URL(".", page).href;
}

/** What the page was loaded with: the address bar moves on. */
export const ROOT = rootOf(document.URL);
