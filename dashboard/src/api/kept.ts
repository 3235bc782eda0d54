/** Answers that stay on the page where nobody answers any more, though the moment that is asked about moves on. */
import { useRef } from "react";

import { useView } from "../app/view";
import { formatRange } from "../state/range";
import { isUnanswered, type Parameters_ } from "./client";

interface Asked_ {
  readonly data: unknown;
  readonly error: unknown;
  readonly isPlaceholderData: boolean;
}

/** The same question at another moment has no answer of its own yet: the last one stays. Another question never shows it. */
export function useKept<R extends Asked_>(asked: R, path: string, parameters: Parameters_): R {
  const { range } = useView();
  const last = useRef<{ readonly question: string; readonly data: R["data"] }>(undefined);
  const question = JSON.stringify([path, { ...parameters, start: undefined, end: undefined }, formatRange(range)]);
  if (asked.data !== undefined && !asked.isPlaceholderData) last.current = { question, data: asked.data };
  if (asked.data !== undefined || !isUnanswered(asked.error) || last.current?.question !== question) return asked;
  return { ...asked, data: last.current.data };
}
