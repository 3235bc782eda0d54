/** The one place that talks to the metrics API. Answers are JSON; errors carry the API's own words. */
import { ROOT } from "./place";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly kind: string,
  ) {
    super(message);
  }
}

/** The answer to whoever is not signed in. */
export function needsToken(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

/** The server is gone, starts again, or has no room. What answers then, if anything, may be a reverse proxy, which has no words of ours. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof ApiError && (["network", "saturated"].includes(error.kind) || (error.status > 500 && error.kind === "unknown"));
}

export type Parameters_ = Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>>;

/** Of a path of the API, which begins with a slash: whole, wherever the program stands. */
export function address(path: string, parameters: Parameters_ = {}): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined || value === "") continue;
    for (const each of Array.isArray(value) ? value : [value]) words.append(name, String(each));
  }
  const query = words.toString();
  return `${ROOT}${path.slice(1)}${query === "" ? "" : `?${query}`}`;
}

async function refusal(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  const error = (body as { error?: { message?: string; type?: string } } | null)?.error;
  return new ApiError(response.status, error?.message ?? response.statusText, error?.type ?? "unknown");
}

/** Raises `ApiError` for an answer that is none, with status 0 where there was no answer. `maxAgeS`: how old it may be. */
export async function get<T>(path: string, parameters: Parameters_ = {}, signal?: AbortSignal, maxAgeS = 0): Promise<T> {
  const response = await fetch(address(path, parameters), {
    headers: { Accept: "application/json", ...(maxAgeS >= 1 ? { "Cache-Control": `max-age=${Math.floor(maxAgeS)}` } : {}) },
    credentials: "same-origin",
    ...(signal === undefined ? {} : { signal }),
  }).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, String(error), "network");
  });
  if (!response.ok) throw await refusal(response);
  return (await response.json()) as T;
}

/** No page of another origin can send it without asking the server first (`api/guard.py`). */
const OURS = { "X-Requested-With": "dashboard" };

/** Sign in with the token of the settings; the cookie that comes back cannot be read by scripts. */
export async function signIn(token: string): Promise<void> {
  const response = await fetch(address("/session"), {
    method: "POST",
    credentials: "same-origin",
    headers: { ...OURS, "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (!response.ok) throw await refusal(response);
}

/** The session lasts anew from now on: of a page that nobody signs in to again. */
export async function staySignedIn(): Promise<void> {
  const response = await fetch(address("/session"), { method: "PUT", credentials: "same-origin", headers: OURS });
  if (!response.ok) throw await refusal(response);
}

export async function signOut(): Promise<void> {
  await fetch(address("/session"), { method: "DELETE", credentials: "same-origin", headers: OURS });
}
