/** What charts need of the page: how its axes speak, and what dragging over them does. */
import { useCallback, useMemo } from "react";

import { useView } from "../app/view";
import { moment, tick } from "../format/times";
import { useSpeech } from "../i18n";
import type { Axes } from "./options";

/** `unit`: what `value` depends on besides the language. */
export function useAxes(value: (value: number) => string, unit = ""): Axes {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  // `value` is made anew on every drawing; what it says depends on the language and the unit alone
  // eslint-disable-next-line react-hooks/exhaustive-deps
  return useMemo(() => ({ value, time: (ms) => tick(ms, locale, zone), moment: (ms) => moment(ms, locale, zone), partial: t("changes.partial") }), [t, locale, zone, unit]);
}

/** Dragging chooses the range, for the whole page and its link. */
export function useZoom(): (startMs: number, endMs: number) => void {
  const { change } = useView();
  return useCallback((startMs, endMs) => change({ range: `${new Date(startMs).toISOString()}..${new Date(endMs).toISOString()}` }), [change]);
}
