/** A part of the page that selects more narrowly than the link says, such as streamed answers only. */
import { type ReactNode, useMemo } from "react";

import type { Filters } from "../state/search";
import { useView, ViewContext } from "./view";

export function Selected({ filters, children }: { filters: Filters; children: ReactNode }) {
  const view = useView();
  const key = JSON.stringify(filters);
  const narrowed = useMemo(() => ({ ...view, search: { ...view.search, ...(JSON.parse(key) as Filters) } }), [view, key]);
  return <ViewContext.Provider value={narrowed}>{children}</ViewContext.Provider>;
}
