/** What a reader chooses for themselves: theme, language, zone. */
import { useQueryClient } from "@tanstack/react-query";

import { address, signOut } from "../api/client";
import { type Language, LANGUAGES, useSpeech } from "../i18n";
import { type Theme, THEMES } from "../state/search";
import type { Session } from "./session";
import { useTheme } from "./theme";
import { useView } from "./view";

interface Props {
  readonly session: Session;
  readonly showKeys: () => void;
}

export function Preferences({ session, showKeys }: Props) {
  const { t, language, choose } = useSpeech();
  const theme = useTheme();
  const { zone, change } = useView();
  const client = useQueryClient();
  // the server breaks off what it still sends to a session that is over: nothing may be left to be sent
  const leave = () => void client.cancelQueries().then(signOut).finally(() => location.reload());
  return (
    <div className="preferences">
      <label>
        {t("theme.label")}
        <select className="select" value={theme.chosen} onChange={(event) => theme.choose(event.target.value as Theme)}>
          {THEMES.map((each) => (
            <option key={each} value={each}>
              {t(`theme.${each}`)}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t("language.label")}
        <select className="select" value={language} onChange={(event) => choose(event.target.value as Language)}>
          {Object.entries(LANGUAGES).map(([code, name]) => (
            <option key={code} value={code} lang={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t("zone.label")}
        <select className="select" value={zone} onChange={(event) => change({ tz: event.target.value })}>
          {[...new Set([zone, "UTC", ...Intl.supportedValuesOf("timeZone")])].map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <div className="row">
        <span>{session.app_version}</span>
        <button type="button" className="link" onClick={showKeys} aria-keyshortcuts="?">
          {t("keys.title")}
        </button>
        <a className="link" href={address("/help/")} target="_blank" rel="noreferrer">
          {t("help.title")}
        </a>
        {session.signed_in && (
          <button type="button" className="link" onClick={leave}>
            {t("signin.out")}
          </button>
        )}
      </div>
    </div>
  );
}

