/** The table of views: where each stands in the address and in the navigation. The router and the palette read it. */
import { type ComponentType, lazy, type LazyExoticComponent } from "react";

import type { Key } from "../i18n/words";

export interface ViewRow {
  readonly path: string;
  readonly label: Key;
  readonly shortcut: string;
  /** It shows records of the range and filters; else neither is offered. */
  readonly selects: boolean;
  /** It shows the range, whatever is filtered. */
  readonly unfiltered?: true;
  readonly component: LazyExoticComponent<ComponentType>;
}

export const VIEWS: readonly ViewRow[] = [
  { path: "/", label: "nav.overview", shortcut: "o", selects: true, component: lazy(() => import("../views/overview")) },
  { path: "/models", label: "nav.models", shortcut: "m", selects: true, component: lazy(() => import("../views/models")) },
  { path: "/clients", label: "nav.clients", shortcut: "c", selects: true, component: lazy(() => import("../views/clients")) },
  { path: "/streaming", label: "nav.streaming", shortcut: "s", selects: true, component: lazy(() => import("../views/streaming")) },
  { path: "/not-streamed", label: "nav.nonStreaming", shortcut: "n", selects: true, component: lazy(() => import("../views/not_streamed")) },
  { path: "/errors", label: "nav.errors", shortcut: "e", selects: true, component: lazy(() => import("../views/errors")) },
  { path: "/requests", label: "nav.requests", shortcut: "r", selects: true, component: lazy(() => import("../views/requests")) },
  { path: "/sessions", label: "nav.sessions", shortcut: "i", selects: true, component: lazy(() => import("../views/sessions")) },
  { path: "/costs", label: "nav.costs", shortcut: "k", selects: true, component: lazy(() => import("../views/costs")) },
  { path: "/explore", label: "nav.explore", shortcut: "x", selects: true, component: lazy(() => import("../views/explore")) },
  { path: "/servers", label: "nav.servers", shortcut: "b", selects: true, unfiltered: true, component: lazy(() => import("../views/servers")) },
  { path: "/limits", label: "nav.limits", shortcut: "l", selects: false, component: lazy(() => import("../views/limits")) },
  { path: "/versions", label: "nav.versions", shortcut: "v", selects: false, component: lazy(() => import("../views/versions")) },
  { path: "/settings", label: "nav.settings", shortcut: ",", selects: false, component: lazy(() => import("../views/settings")) },
];
