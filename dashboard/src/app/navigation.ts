/** How the views stand in the navigation: in groups, and in the order in which people ask. Every view of the table is in one of them, which a test holds. */
import type { Key } from "../i18n/words";
import { VIEWS, type ViewRow } from "./views";

interface Group {
  /** The first group needs none: it is what everybody came for. */
  readonly label?: Key;
  readonly paths: readonly string[];
}

const GROUPS: readonly Group[] = [
  { paths: ["/", "/requests", "/sessions", "/explore"] },
  { label: "nav.usage", paths: ["/models", "/clients", "/costs", "/limits"] },
  { label: "nav.performance", paths: ["/errors", "/streaming", "/not-streamed", "/servers"] },
  { label: "nav.system", paths: ["/versions", "/settings"] },
];

export interface NavigationGroup {
  readonly label?: Key;
  readonly views: readonly ViewRow[];
}

/** Groups of the views that there are. */
export const NAVIGATION: readonly NavigationGroup[] = GROUPS.map(({ paths, ...group }) => ({
  ...group,
  views: paths.flatMap((path) => VIEWS.filter((view) => view.path === path)),
}));

/** All views, in the order of the navigation: for lists without groups. */
export const IN_ORDER: readonly ViewRow[] = NAVIGATION.flatMap(({ views }) => views);
