/** The words of the page: one row per message in `words.json`, with all languages side by side. */
import type table from "./words.json";

export type Key = keyof typeof table;
export type Messages = Readonly<Record<Key, string>>;
