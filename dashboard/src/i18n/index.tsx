/** The language of the page: chosen by a person, else by the browser. Each language is loaded when it is needed. */
import { IntlMessageFormat } from "intl-messageformat";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";

import en from "virtual:words/en";

import type { Key, Messages } from "./words";

export const LANGUAGES = {
  en: "English",
  de: "Deutsch",
  fr: "Français",
  es: "Español",
  ja: "日本語",
  ko: "한국어",
  zh: "中文",
  ru: "Русский",
} as const;
export type Language = keyof typeof LANGUAGES;

const LOADERS: Record<Language, () => Promise<{ default: Messages }>> = {
  en: () => Promise.resolve({ default: en }),
  de: () => import("virtual:words/de"),
  fr: () => import("virtual:words/fr"),
  es: () => import("virtual:words/es"),
  ja: () => import("virtual:words/ja"),
  ko: () => import("virtual:words/ko"),
  zh: () => import("virtual:words/zh"),
  ru: () => import("virtual:words/ru"),
};

export type Values = Readonly<Record<string, string | number>>;
export interface Speech {
  readonly language: Language;
  /** BCP 47, for numbers and dates: the browser's own region if it speaks the chosen language. */
  readonly locale: string;
  readonly t: (key: Key, values?: Values) => string;
  readonly choose: (language: Language) => void;
}

const KEPT = "language";

export function preferred(kept: string | null, offered: readonly string[]): Language {
  const wishes = [...(kept === null ? [] : [kept]), ...offered].map((tag) => tag.split("-")[0] ?? "");
  return (wishes.find((tag) => tag in LANGUAGES) as Language | undefined) ?? "en";
}

/** A message with its values. A fault in a translation shows the English text rather than none. */
export function say(messages: Messages, key: Key, locale: string, values: Values): string {
  try {
    return String(new IntlMessageFormat(messages[key], locale).format(values));
  } catch {
    return String(new IntlMessageFormat(en[key], "en").format(values));
  }
}

const Context = createContext<Speech | null>(null);

/** `onMissing`: a language could not be loaded, and the page goes on in the one before. */
export function Spoken({ onMissing, children }: { onMissing: () => void; children: ReactNode }) {
  const [language, setLanguage] = useState(() => preferred(localStorage.getItem(KEPT), navigator.languages));
  const [messages, setMessages] = useState<{ language: Language; texts: Messages } | null>(null);
  useEffect(() => {
    let current = true;
    LOADERS[language]().then(
      ({ default: texts }) => current && setMessages({ language, texts }),
      () => {
        if (current) setMessages((before) => before ?? { language: "en", texts: en });
        onMissing();
      },
    );
    document.documentElement.lang = language;
    return () => {
      current = false;
    };
  }, [language, onMissing]);
  const speech = useMemo<Speech>(() => {
    const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
    const texts = messages?.texts ?? en;
    return {
      language,
      locale,
      t: (key, values) => (values === undefined ? texts[key] : say(texts, key, locale, values)),
      choose: (chosen) => {
        localStorage.setItem(KEPT, chosen);
        setLanguage(chosen);
      },
    };
  }, [language, messages]);
  return messages === null ? null : <Context.Provider value={speech}>{children}</Context.Provider>;
}

export function useSpeech(): Speech {
  const speech = useContext(Context);
  if (speech === null) throw new Error("useSpeech outside of <Spoken>");
  return speech;
}
