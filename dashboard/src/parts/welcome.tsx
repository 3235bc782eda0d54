/** What a newcomer must know: that numbers are simulated, which range was chosen and why, how to point a client here. */
import { Link } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense, useId, useRef } from "react";

import { useBeginning } from "../app/beginning";
import { useScope, useSession } from "../app/session";
import { useView } from "../app/view";
import { useSpeech } from "../i18n";
import type { Relative } from "../state/range";
import { Loading } from "./states";

const Connect = lazy(async () => ({ default: (await import("./connect")).Connect }));

/** In every view, as long as the demo runs. */
export function SimulatedNote() {
  const { t } = useSpeech();
  if (useSession().data?.simulated !== true) return null;
  return (
    <p className="note simulated">
      <strong>{t("welcome.simulated")}</strong> <span>{t("welcome.simulatedHow")}</span> <code>--backend http://host:port</code>
    </p>
  );
}

export function FirstRangeNote({ chosen }: { chosen: Relative | null }) {
  const { t } = useSpeech();
  const { change } = useView();
  if (chosen === null) return null;
  return (
    <p className="first-range muted">
      {t("welcome.range", { range: t(`range.${chosen}`) })}{" "}
      <button type="button" className="link" onClick={() => change({ range: "24h" })}>
        {t("welcome.day")}
      </button>
    </p>
  );
}

/** Until a request of one's own came; it says so when it does. Where there is no record yet, it stands alone. */
export function Welcome({ first, children }: { first: ReactNode; children: ReactNode }) {
  const { t } = useSpeech();
  const id = useId();
  const scope = useScope();
  const { data } = useBeginning();
  const waited = useRef(false);
  if (data?.own === false) waited.current = true;
  const all = (
    <>
      {first}
      {children}
    </>
  );
  if (data === undefined || scope !== null || !waited.current) return all;
  if (data.own)
    return (
      <>
        <p className="note arrived" role="status">
          <strong>{t("welcome.came")}</strong>{" "}
          <Link to="/requests" search={(before: Record<string, unknown>) => before as never}>
            {t("welcome.look")}
          </Link>
        </p>
        {all}
      </>
    );
  return (
    <>
      {!data.empty && first}
      <section className={data.empty ? "card welcome alone" : "card welcome"} aria-labelledby={id}>
        <header>
          <h2 id={id}>{t("connect.title")}</h2>
        </header>
        <p className="muted">{t(data.empty ? "welcome.empty" : "welcome.waits")}</p>
        <Suspense fallback={<Loading />}>
          <Connect />
        </Suspense>
      </section>
      {!data.empty && children}
    </>
  );
}
