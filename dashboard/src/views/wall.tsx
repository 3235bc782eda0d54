/** A screen on a wall: big numbers, nothing to press, and nobody there to reload it or to sign in again. */
import { useEffect, useState } from "react";

import { staySignedIn } from "../api/client";
import { useFetched } from "../api/query";
import { HealthLine, StaleNote } from "../app/health";
import { renew } from "../app/renewal";
import { useSession } from "../app/session";
import { useTheme } from "../app/theme";
import { useView } from "../app/view";
import { clock, span } from "../format/times";
import { useSpeech } from "../i18n";
import { SimulatedNote } from "../parts/welcome";
import { format, written } from "../state/conditions";
import { conditionsOf } from "../state/search";
import { Figures, RequestsOverTime } from "./overview";

const HOUR_MS = 3_600_000; // a session lasts twelve
const SECOND_MS = 1000;
const EVERY_MS = 15_000;

/** Lasting as long as it is looked at: signed in, of the version that answers, and awake. */
function useLasting(version: string): void {
  const signedIn = useSession().data?.signed_in === true;
  const now = useFetched<{ app_version: string }>("/health", {}, EVERY_MS).data?.app_version ?? version;
  useEffect(() => {
    if (!signedIn) return undefined;
    const stay = () => void staySignedIn().catch(() => undefined); // no answer now; the next hour asks again
    stay();
    const timer = setInterval(stay, HOUR_MS);
    return () => clearInterval(timer);
  }, [signedIn]);
  useEffect(() => {
    if (now !== version) void renew();
  }, [now, version]);
  useEffect(() => {
    let lock: WakeLockSentinel | null = null;
    // for https and this machine alone, and only while it is seen
    const wake = () => {
      if (document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
      navigator.wakeLock.request("screen").then(
        (given) => (lock = given),
        () => undefined,
      );
    };
    wake();
    document.addEventListener("visibilitychange", wake);
    return () => {
      document.removeEventListener("visibilitychange", wake);
      void lock?.release();
    };
  }, []);
}

function Clock() {
  const { locale } = useSpeech();
  const { zone } = useView();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), SECOND_MS);
    return () => clearInterval(timer);
  }, []);
  return <time className="clock">{clock(now, locale, zone)}</time>;
}

export default function Wall({ version }: { version: string }) {
  const { t, locale } = useSpeech();
  const { search, range, zone, change } = useView();
  const { lend } = useTheme();
  useLasting(version);
  useEffect(() => lend("dark"), [lend]);
  useEffect(() => {
    document.title = `${t("kiosk.title")} · ${t("app.title")}`;
    const leave = (event: KeyboardEvent) => event.key === "Escape" && change({ kiosk: undefined });
    addEventListener("keydown", leave);
    return () => removeEventListener("keydown", leave);
  }, [change, t]);
  const filters = conditionsOf(search).map((condition) => (condition.op === "=" ? condition.values.map(written).join(", ") : format(condition)));
  return (
    <main className="main wall">
      <header>
        <h1>{range.kind === "fixed" ? span(range.start, range.end, locale, zone) : t(`range.${range.span}`)}</h1>
        {filters.map((value) => (
          <span key={value} className="chip">
            <b>{value}</b>
          </span>
        ))}
        <HealthLine />
        <Clock />
        <button type="button" className="button bare" aria-label={t("kiosk.leave")} title={t("kiosk.leave")} onClick={() => change({ kiosk: undefined })}>
          ×
        </button>
      </header>
      <StaleNote />
      <SimulatedNote />
      <Figures />
      <div className="grid">
        <RequestsOverTime className="" />
      </div>
    </main>
  );
}
