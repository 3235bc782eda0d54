/** A part of the page that selects other records than the link says: fewer, such as streamed answers only, or those that a filter leaves out. */
import { type ReactNode, useMemo } from "react";

import type { FilterName, Filters } from "../state/search";
import { useView, ViewContext } from "./view";

interface Props {
  readonly filters?: Filters;
  /** Filters of the link that do not count here. */
  readonly without?: readonly FilterName[];
  readonly children: ReactNode;
}

export function Selected({ filters = {}, without = [], children }: Props) {
  const view = useView();
  const key = JSON.stringify([filters, without]);
  const narrowed = useMemo(() => {
    const [more, less] = JSON.parse(key) as [Filters, FilterName[]];
    const rest = Object.fromEntries(Object.entries(view.search).filter(([name]) => !less.includes(name as FilterName)));
    return { ...view, search: { ...rest, ...more } };
  }, [view, key]);
  return <ViewContext.Provider value={narrowed}>{children}</ViewContext.Provider>;
}
