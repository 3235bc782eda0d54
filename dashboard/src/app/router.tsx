/** One route per view, made from the table. Words of the link are checked here, before anything sees them. */
import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router";

import { ROOT } from "../api/place";
import { parseSearch } from "../state/search";
import { Fault } from "./fault";
import { Shell } from "./shell";
import { Viewed } from "./view";
import { VIEWS } from "./views";

const root = createRootRoute({
  validateSearch: parseSearch as (raw: Record<string, unknown>) => Record<string, unknown>,
  component: () => (
    <Viewed>
      <Shell />
    </Viewed>
  ),
});

const routes = VIEWS.map(({ path, component }) => createRoute({ getParentRoute: () => root, path, component }));

export const router = createRouter({ routeTree: root.addChildren(routes), basepath: new URL(ROOT).pathname, defaultPreload: "intent", defaultErrorComponent: Fault });
