/** What keys do: Ctrl+K always; single keys unless a reader turned them off (WCAG 2.1.4). Pure. */

export interface Pressed {
  readonly key: string;
  readonly ctrl: boolean;
  readonly alt: boolean;
  /** The key goes into a field, or a dialog is open. */
  readonly elsewhere: boolean;
}

export type Act = { readonly kind: "palette" } | { readonly kind: "help" } | { readonly kind: "live" } | { readonly kind: "filter" } | { readonly kind: "go"; readonly letter: string };

const SINGLE: Readonly<Record<string, Act>> = { "?": { kind: "help" }, p: { kind: "live" }, "/": { kind: "filter" } };
const GO = "g";

/** What the key does after `before` was pressed (`null`: nothing that waits), and whether it waits for another. */
export function pressed(event: Pressed, before: string | null, singleKeys: boolean): { act: Act | null; waits: string | null } {
  if (event.ctrl && event.key.toLowerCase() === "k") return { act: { kind: "palette" }, waits: null };
  if (event.ctrl || event.alt || event.elsewhere || !singleKeys) return { act: null, waits: null };
  if (before === GO) return { act: { kind: "go", letter: event.key.toLowerCase() }, waits: null };
  if (event.key === GO) return { act: null, waits: GO };
  return { act: SINGLE[event.key] ?? null, waits: null };
}
