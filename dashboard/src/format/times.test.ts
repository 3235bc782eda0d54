import { expect, it } from "vitest";

import { dateIn, fromWall, isoIn, tick, toWall } from "./times";

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
it("a file has the page's clock, and says how far it is from UTC", () => {
  expect(isoIn("2026-11-25T20:00:00Z", "Europe/Berlin")).toBe("2026-11-25T21:00:00+01:00");
  expect(isoIn("2026-11-25T20:00:00Z", "America/St_Johns")).toBe("2026-11-25T16:30:00-03:30");
  expect(isoIn("2026-11-25T20:00:00Z", "UTC")).toBe("2026-11-25T20:00:00Z");
  expect(Date.parse(isoIn("2026-07-01T00:00:00Z", "Asia/Kathmandu"))).toBe(Date.parse("2026-07-01T00:00:00Z"));
});
it("a day is that of the zone", () => {
  expect(dateIn(Date.parse("2026-11-28T23:30:00Z"), "Europe/Berlin")).toBe("2026-11-29");
  expect(dateIn(Date.parse("2026-11-28T23:30:00Z"), "UTC")).toBe("2026-11-28");
});
