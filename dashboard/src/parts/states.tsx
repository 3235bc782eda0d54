/** The states that every part of a view can be in. */
import type { ReactNode } from "react";
import type { UseQueryResult } from "@tanstack/react-query";

import { useSpeech } from "../i18n";

export function Empty() {
  const { t } = useSpeech();
  return (
    <div className="centre">
      <strong>{t("state.empty")}</strong>
      <span>{t("state.emptyHint")}</span>
    </div>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useSpeech();
  return (
    <div className="centre" role="alert">
      <strong>{t("state.error")}</strong>
      <span>{error instanceof Error ? error.message : String(error)}</span>
      {retry !== undefined && (
        <p>
          <button type="button" className="button" onClick={retry}>
            {t("state.retry")}
          </button>
        </p>
      )}
    </div>
  );
}

/** Room is kept while it loads, so that nothing jumps. */
export function Loading({ compact = false }: { compact?: boolean }) {
  const { t } = useSpeech();
  return (
    <div className={compact ? "centre compact" : "centre"} aria-busy="true">
      <span className="visually-hidden">{t("state.loading")}</span>
    </div>
  );
}

interface LoadedProps<T> {
  readonly from: Pick<UseQueryResult<T>, "data" | "error" | "refetch">;
  readonly empty?: (data: T) => boolean;
  /** What comes is short: no room is kept for a chart. */
  readonly compact?: boolean;
  readonly children: (data: T) => ReactNode;
}

/** The data if there are any, even old ones; `Failed` only where there is nothing to show. */
export function Loaded<T>({ from, empty, compact, children }: LoadedProps<T>) {
  if (from.data !== undefined) return empty?.(from.data) === true ? <Empty /> : children(from.data);
  if (from.error !== null) return <Failed error={from.error} retry={() => void from.refetch()} />;
  return <Loading compact={compact === true} />;
}
