import { expect, it } from "vitest";

import { fromWall, tick, toWall } from "./times";

it.each(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"])("a wall clock in %s comes back", (zone) => {
  for (const wall of ["2026-01-15T08:30", "2026-07-15T23:45", "2026-03-29T12:00"]) {
    expect(toWall(fromWall(wall, zone)!, zone)).toBe(wall);
  }
});
it("knows summer from winter", () => {
  expect(fromWall("2026-01-15T12:00", "Europe/Berlin")).toBe("2026-01-15T11:00:00.000Z");
  expect(fromWall("2026-07-15T12:00", "Europe/Berlin")).toBe("2026-07-15T10:00:00.000Z");
});
it("midnight shows the day", () => {
  expect(tick(Date.parse("2026-11-25T00:00:00Z"), "en", "UTC")).toBe("Nov 25");
  expect(tick(Date.parse("2026-11-25T13:30:00Z"), "en", "Europe/Berlin")).toContain("30");
});
