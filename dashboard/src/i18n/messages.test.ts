import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { IntlMessageFormat } from "intl-messageformat";
import { describe, expect, it } from "vitest";

import { LANGUAGES, type Language, preferred, say } from "./index";
import type { Key, Messages } from "./words";

const FOLDER = join(import.meta.dirname, "words");
const FILES = readdirSync(FOLDER).map((name) => Object.entries(JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as Record<string, Record<Language, string>>));
const words = Object.fromEntries(FILES.flat()) as Record<Key, Record<Language, string>>;
const KEYS = Object.keys(words) as Key[];
const table = (language: Language) => Object.fromEntries(KEYS.map((key) => [key, words[key][language]])) as Messages;
const [en, de, ru] = [table("en"), table("de"), table("ru")];
const names = (text: string) => [...text.matchAll(/\{(\w+)/g)].map(([, name]) => name).sort();

it("a key is in one file", () => expect(FILES.flat().length).toBe(KEYS.length));
it.each(KEYS)("%s is said in every language and in no other", (key) => expect(Object.keys(words[key]).sort()).toEqual(Object.keys(LANGUAGES).sort()));

describe.each((Object.keys(LANGUAGES) as Language[]).map((language) => [language, table(language)] as const))("%s", (language, table) => {
  it("can be formatted, with the same values", () => {
    for (const key of KEYS) {
      expect(() => new IntlMessageFormat(table[key], language), key).not.toThrow();
      expect([key, ...new Set(names(table[key]))]).toEqual([key, ...new Set(names(en[key]))]);
    }
  });
  it("says nothing twice as in English but names", () => {
    if (language === "en") return;
    const same = KEYS.filter((key) => table[key] === en[key] && /[a-z] [a-z]/.test(en[key]) && key !== "app.title");
    expect(same).toEqual([]);
  });
});

it("counts as each language does", () => {
  expect(say(en, "table.others", "en", { count: 1 })).toBe("1 other");
  expect(say(en, "table.others", "en", { count: 2 })).toBe("2 others");
  expect(say(ru, "table.others", "ru", { count: 5 })).toBe("ещё 5");
});
it("a fault in a translation shows English", () => expect(say({ ...de, "live.updated": "{broken" }, "live.updated", "de", { time: "1" })).toBe("Updated 1"));
it("takes the person's choice, then the browser's, then English", () => {
  expect(preferred("ja", ["de"])).toBe("ja");
  expect(preferred(null, ["pt-BR", "de-AT"])).toBe("de");
  expect(preferred("xx", ["pt"])).toBe("en");
});

/** Keys that are put together at run time, by what comes before the part that varies. */
const BUILT = ["servers.level.", "servers.by.", "servers.free.", "servers.state.", "servers.advice.", "range.", "theme.", "phase.", "explore.", "term.", "hint."];

it("every message is used somewhere", () => {
  const root = join(import.meta.dirname, "..");
  const sources = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => /\.tsx?$/.test(entry.name) && !entry.parentPath.endsWith("i18n"))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
    .join("\n");
  expect(KEYS.filter((key) => !sources.includes(`"${key}"`) && !BUILT.some((start) => key.startsWith(start)))).toEqual([]);
});
