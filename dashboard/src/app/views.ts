/** The table of views: where each stands in the address and in the navigation. The router and the palette read it. */
import { type ComponentType, lazy, type LazyExoticComponent } from "react";

import type { Key } from "../i18n/en";

export interface ViewRow {
  readonly path: string;
  readonly label: Key;
  readonly shortcut: string;
  readonly component: LazyExoticComponent<ComponentType>;
}

export const VIEWS: readonly ViewRow[] = [
  { path: "/", label: "nav.overview", shortcut: "o", component: lazy(() => import("../views/overview")) },
  { path: "/models", label: "nav.models", shortcut: "m", component: lazy(() => import("../views/models")) },
  { path: "/clients", label: "nav.clients", shortcut: "c", component: lazy(() => import("../views/clients")) },
  { path: "/streaming", label: "nav.streaming", shortcut: "s", component: lazy(() => import("../views/streaming")) },
  { path: "/not-streamed", label: "nav.nonStreaming", shortcut: "n", component: lazy(() => import("../views/not_streamed")) },
  { path: "/errors", label: "nav.errors", shortcut: "e", component: lazy(() => import("../views/errors")) },
  { path: "/requests", label: "nav.requests", shortcut: "r", component: lazy(() => import("../views/requests")) },
  { path: "/explore", label: "nav.explore", shortcut: "x", component: lazy(() => import("../views/explore")) },
  { path: "/versions", label: "nav.versions", shortcut: "v", component: lazy(() => import("../views/versions")) },
  { path: "/settings", label: "nav.settings", shortcut: ",", component: lazy(() => import("../views/settings")) },
];
