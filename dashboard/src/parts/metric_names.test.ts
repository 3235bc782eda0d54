import { expect, it } from "vitest";

import en from "virtual:words/en";

import { DIMENSIONS, MEASURED_COLUMNS, PLAIN_METRICS, SUMMED_COLUMNS } from "../api/columns";
import { say } from "../i18n";
import { dimensionName, DIMENSION_NAMES, metricName, METRIC_NAMES } from "./metric_names";
import { valueName } from "./names";

const t = (key: Parameters<typeof say>[1], values = {}) => say(en, key, "en", values);

it("whatever can be explored has a name of words", () => {
  expect([...PLAIN_METRICS, ...SUMMED_COLUMNS, ...MEASURED_COLUMNS.map(({ name }) => name)].filter((name) => METRIC_NAMES[name] === undefined)).toEqual([]);
  expect(DIMENSIONS.filter((name) => DIMENSION_NAMES[name] === undefined)).toEqual([]);
});
it.each([
  ["response_time_ms.p95", "Response time, p95"],
  ["response_time_ms.p50", "Response time, median"],
  ["response_time_ms.p99.9", "Response time, p99.9"],
  ["cost_usd", "Cost"],
  ["not_known_yet", "not known yet"],
])("%s is %s", (metric, name) => expect(metricName(metric, t)).toBe(name));
it.each([
  ["tag:team", "Tag: team"],
  ["bin:response_time_ms", "Response time"],
  ["api_key_id", "Key"],
])("%s is %s", (dimension, name) => expect(dimensionName(dimension, t)).toBe(name));
it("values are words, too, but names of others stay as they are", () => {
  expect(valueName("upstream_error", "outcome", t)).toBe("upstream error");
  expect(valueName("my_model", "model", t)).toBe("my_model");
  expect(valueName(7, "weekday", t, "en")).toBe("Sunday");
  expect(valueName(9, "hour_of_day", t)).toBe("09:00");
  expect(valueName(null, "user", t)).toBe("(none)");
});
