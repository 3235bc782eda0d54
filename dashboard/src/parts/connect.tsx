/** How to point one's own client at the proxy: its address, and what each client is told. */
import { useEffect, useRef, useState } from "react";

import { useSession } from "../app/session";
import { useSpeech } from "../i18n";
import { OWN_CLIENTS, reachable } from "../state/own_clients";
import { copy } from "./copy";

const COPIED_MS = 2000;
const KEPT = "connect-client";

function CopyButton({ text, label }: { text: string; label: string }) {
  const { t } = useSpeech();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button type="button" className="button copy" aria-label={`${t("connect.copy")}: ${label}`} onClick={() => void copy(text).then(() => setCopied(true))}>
      <span aria-live="polite">{t(copied ? "table.copied" : "connect.copy")}</span>
    </button>
  );
}

/** What stands in the Overview until a request came, and in a dialog afterwards. */
export function Connect() {
  const { t } = useSpeech();
  const session = useSession().data;
  const [id, setId] = useState(() => localStorage.getItem(KEPT) ?? "curl");
  const client = OWN_CLIENTS.find((each) => each.id === id) ?? OWN_CLIENTS[0];
  if (client === undefined) return null;
  const proxy = reachable(session?.proxy_url ?? "", location.hostname);
  const text = client.text(proxy, session?.simulated === true ? "demo-small" : "MODEL");
  const choose = (chosen: string) => {
    localStorage.setItem(KEPT, chosen);
    setId(chosen);
  };
  return (
    <div className="connect">
      <div className="connect-address">
        <span className="muted">{t("connect.address")}</span>
        <code>{proxy}</code>
        <CopyButton text={proxy} label={t("connect.address")} />
      </div>
      <div className="connect-clients" role="group" aria-label={t("connect.client")}>
        {OWN_CLIENTS.map((each) => (
          <button key={each.id} type="button" aria-pressed={each.id === client.id} onClick={() => choose(each.id)}>
            {each.name}
          </button>
        ))}
      </div>
      <figure className="snippet">
        <figcaption>
          <span className="muted">{client.where === "shell" ? t("connect.shell") : client.where}</span>
          <CopyButton text={text} label={client.name} />
        </figcaption>
        <pre tabIndex={0} aria-label={client.name}>
          {text}
        </pre>
      </figure>
      <p className="muted">{t(client.id === "cursor" ? "connect.cursor" : "connect.key")}</p>
    </div>
  );
}

/** The same, from the menu. */
export default function ConnectDialog({ close }: { close: () => void }) {
  const { t } = useSpeech();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="connect-dialog" aria-label={t("connect.title")} onClose={close} onClick={(event) => event.target === event.currentTarget && close()}>
      <header>
        <h2>{t("connect.title")}</h2>
        <button type="button" className="button bare close" aria-label={t("request.close")} onClick={() => dialog.current?.close()}>
          ×
        </button>
      </header>
      <Connect />
    </dialog>
  );
}
