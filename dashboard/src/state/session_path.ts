/** Where the API has one session. Pure. */

/** In a path `..` is the folder above in any spelling; the API takes one slash at the end for no part of an id. */
export function sessionPath(id: string): string {
  const closed = /^\.\.?$|\/$/.test(id) ? `${id}/` : id;
  return `/api/v1/sessions/${encodeURIComponent(closed)}`;
}
