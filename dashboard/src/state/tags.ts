/** Tags as records have them, `k=v` separated by commas: which keys there are, and with which values. Pure. */

export interface TagKey {
  readonly key: string;
  readonly requests: number;
  /** The most used first. */
  readonly values: readonly { readonly value: string; readonly requests: number }[];
}

/** `rows`: how many records have these tags together. The most used key first. */
export function tagKeys(rows: readonly { readonly tags: string; readonly requests: number }[]): readonly TagKey[] {
  const found = new Map<string, Map<string, number>>();
  for (const { tags, requests } of rows) {
    for (const tag of tags.split(",")) {
      const at = tag.indexOf("=");
      if (at <= 0) continue;
      const [key, value] = [tag.slice(0, at), tag.slice(at + 1)];
      const values = found.get(key) ?? new Map<string, number>();
      found.set(key, values.set(value, (values.get(value) ?? 0) + requests));
    }
  }
  const most = (a: { requests: number }, b: { requests: number }) => b.requests - a.requests;
  return [...found]
    .map(([key, values]) => ({
      key,
      requests: [...values.values()].reduce((sum, n) => sum + n, 0),
      values: [...values].map(([value, requests]) => ({ value, requests })).sort(most),
    }))
    .sort(most);
}
