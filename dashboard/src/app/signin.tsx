/** The form that stands in the place of everything until the token was given. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { ApiError, signIn } from "../api/client";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { served } from "./renewal";

const REFUSALS: Readonly<Record<number, Key>> = { 401: "signin.wrong", 429: "signin.limited" };

export function SignIn() {
  const { t } = useSpeech();
  const client = useQueryClient();
  const [problem, setProblem] = useState<string | null>(null);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get("token"));
    signIn(token).then(
      async () => ((await served()) === "other" ? location.reload() : client.resetQueries()),
      (error: unknown) => {
        const key = error instanceof ApiError ? REFUSALS[error.status] : undefined;
        setProblem(key === undefined ? String(error) : t(key));
      },
    );
  };
  return (
    <main className="centre signin">
      <form className="card form" onSubmit={submit}>
        <div>
          <h1>{t("signin.title")}</h1>
          <p className="muted">{t("app.title")}</p>
        </div>
        <label>
          {t("signin.token")}
          <input className="select" type="password" name="token" required autoFocus autoComplete="current-password" aria-describedby="token-hint" />
        </label>
        <p id="token-hint" className="muted">
          {t("signin.hint")}
        </p>
        {problem !== null && <p role="alert">{problem}</p>}
        <button type="submit" className="button primary">
          {t("signin.submit")}
        </button>
      </form>
    </main>
  );
}
