/** The words of the page: one row per message in the files of `words`, with all languages side by side; a file per part of the page. */
import type budgets from "./words/budgets.json";
import type changes from "./words/changes.json";
import type charts from "./words/charts.json";
import type costs from "./words/costs.json";
import type errors from "./words/errors.json";
import type explore from "./words/explore.json";
import type limits from "./words/limits.json";
import type metrics from "./words/metrics.json";
import type objectives from "./words/objectives.json";
import type page from "./words/page.json";
import type requests from "./words/requests.json";
import type selection from "./words/selection.json";
import type servers from "./words/servers.json";
import type sessions from "./words/sessions.json";
import type tables from "./words/tables.json";
import type terms from "./words/terms.json";
import type versions from "./words/versions.json";
import type welcome from "./words/welcome.json";

export type Key =
  | keyof typeof budgets
  | keyof typeof changes
  | keyof typeof charts
  | keyof typeof costs
  | keyof typeof errors
  | keyof typeof explore
  | keyof typeof limits
  | keyof typeof metrics
  | keyof typeof objectives
  | keyof typeof page
  | keyof typeof requests
  | keyof typeof selection
  | keyof typeof servers
  | keyof typeof sessions
  | keyof typeof tables
  | keyof typeof terms
  | keyof typeof versions
  | keyof typeof welcome;
export type Messages = Readonly<Record<Key, string>>;
