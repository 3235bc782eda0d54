/** The program's own texts in the reader's language: loaded with the view that shows them. English is what the API says itself. */
import { useEffect, useState } from "react";

import { type Language, useSpeech } from "./index";

export type Texts = Readonly<Record<string, string>>;
type Loader = () => Promise<{ default: Texts }>;
type Loaders = Readonly<Record<Exclude<Language, "en">, Loader>>;

/** `text(key, english)`: in the reader's language, or the API's English where the program says what this page has no row for. */
export type ProgramText = (key: string, english: string) => string;

export const SETTINGS_TEXTS: Loaders = {
  de: () => import("virtual:lazy/settings/de"),
  fr: () => import("virtual:lazy/settings/fr"),
  es: () => import("virtual:lazy/settings/es"),
  ja: () => import("virtual:lazy/settings/ja"),
  ko: () => import("virtual:lazy/settings/ko"),
  zh: () => import("virtual:lazy/settings/zh"),
  ru: () => import("virtual:lazy/settings/ru"),
};

export const ERROR_TEXTS: Loaders = {
  de: () => import("virtual:lazy/errors/de"),
  fr: () => import("virtual:lazy/errors/fr"),
  es: () => import("virtual:lazy/errors/es"),
  ja: () => import("virtual:lazy/errors/ja"),
  ko: () => import("virtual:lazy/errors/ko"),
  zh: () => import("virtual:lazy/errors/zh"),
  ru: () => import("virtual:lazy/errors/ru"),
};

/** Pure: what is said for a key. An own row counts only: `toString` is no text. */
export const textIn = (texts: Texts): ProgramText => (key, english) => (Object.hasOwn(texts, key) ? (texts[key] ?? english) : english);

const ENGLISH: ProgramText = (_, english) => english;

/** `null` until the language's texts are there, so that no English is shown before; English if they cannot be loaded. */
export function useProgramTexts(loaders: Loaders): ProgramText | null {
  const { language } = useSpeech();
  const [loaded, setLoaded] = useState<{ language: Language; text: ProgramText } | null>(null);
  useEffect(() => {
    let current = true;
    const show = (texts: Texts) => {
      if (current) setLoaded({ language, text: textIn(texts) });
    };
    if (language !== "en") loaders[language]().then(({ default: texts }) => show(texts), () => show({}));
    return () => {
      current = false;
    };
  }, [language, loaders]);
  if (language === "en") return ENGLISH;
  return loaded?.language === language ? loaded.text : null;
}
