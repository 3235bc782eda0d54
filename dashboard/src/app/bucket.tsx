/** How finely charts over time are divided: for the whole page, and kept in its link. */
import { useLengthMs } from "../api/query";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { type Bucket, bucketsOf, isBucket } from "../state/range";
import { useView } from "./view";

const WORDS: Readonly<Record<Bucket, Key>> = {
  minute: "bucket.minute",
  "5m": "bucket.5m",
  "15m": "bucket.15m",
  hour: "bucket.hour",
  day: "bucket.day",
  week: "bucket.week",
  month: "bucket.month",
};
/** Views without charts over time. */
const WITHOUT: ReadonlySet<string> = new Set(["/requests", "/sessions", "/servers", "/limits"]);

export function BucketChoice({ path }: { path: string }) {
  const { t } = useSpeech();
  const { search, change } = useView();
  const offered = bucketsOf(useLengthMs());
  if (WITHOUT.has(path)) return null;
  const chosen = isBucket(search.bucket) && offered.includes(search.bucket) ? search.bucket : "";
  return (
    <select className="select" aria-label={t("bucket.label")} title={t("bucket.label")} value={chosen} onChange={(event) => change({ bucket: event.target.value || undefined })}>
      <option value="">{`${t("bucket.label")}: ${t("bucket.auto")}`}</option>
      {offered.map((name) => (
        <option key={name} value={name}>
          {t(WORDS[name])}
        </option>
      ))}
    </select>
  );
}
