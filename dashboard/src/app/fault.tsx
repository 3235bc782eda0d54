/** In the place of what could not be shown: it looks for the reason, and waits for a program that is starting again. */
import { useEffect, useState } from "react";

import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Loading } from "../parts/states";
import { renew, type Served } from "./renewal";

const AGAIN_MS = 2000;
const TEXTS: Readonly<Record<Served, Key>> = { own: "fault.broken", other: "fault.renewed", none: "health.down" };

export function Reload() {
  const { t } = useSpeech();
  return (
    <button type="button" className="button" onClick={() => location.reload()}>
      {t("fault.reload")}
    </button>
  );
}

export function Fault({ error }: { error: unknown }) {
  const { t } = useSpeech();
  const [found, setFound] = useState<Served | null>(null);
  useEffect(() => {
    let timer = 0;
    let current = true;
    const look = async () => {
      const now = await renew();
      if (!current) return;
      setFound(now);
      if (now === "none") timer = window.setTimeout(() => void look(), AGAIN_MS);
    };
    void look();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, []);
  if (found === null) return <Loading />;
  return (
    <div className="centre" role="alert">
      <strong>{t(TEXTS[found])}</strong>
      {found === "own" && <span>{error instanceof Error ? error.message : String(error)}</span>}
      {found !== "none" && (
        <p>
          <Reload />
        </p>
      )}
    </div>
  );
}
