import { expect, it } from "vitest";

import { IN_ORDER } from "./navigation";
import { VIEWS } from "./views";

it("has every view once", () => expect(IN_ORDER.map(({ path }) => path).sort()).toEqual(VIEWS.map(({ path }) => path).sort()));
it("gives every view a key of its own", () => expect(new Set(VIEWS.map(({ shortcut }) => shortcut)).size).toBe(VIEWS.length));
