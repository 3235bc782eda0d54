"""Finds LLM servers. An open port proves nothing; an answer that lists models does."""

import asyncio
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from llm_metrics_proxy import tls_reasons
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.types import DEMO
from llm_metrics_proxy.processes.asking import PLAIN, DiscoveryAnswer, Manners, ask

LIMIT_S: Final = 0.3  # for one question; a server on loopback that is slower is not ready for traffic
TLS_FAILED: Final = "TLS failed"  # how the reason begins, where that is the reason


class Candidate(NamedTuple):
    """A server and its default port; the first is preferred."""

    program: str
    port: int


CANDIDATES: Final = (
    Candidate("Ollama", 11434),
    Candidate("vLLM", 8000),
    Candidate("llama.cpp or LocalAI", 8080),
    Candidate("LM Studio", 1234),
    Candidate("SGLang", 30000),
)

# `owned_by` of the first model, as the servers write it into /v1/models.
_OWNERS: Final = {
    "vllm": "vLLM",
    "llamacpp": "llama.cpp",
    "sglang": "SGLang",
    "organization_owner": "LM Studio",
    "library": "Ollama",
}


class LlmServer(NamedTuple):
    """A server that answered like an LLM server."""

    url: str
    program: str
    models: tuple[str, ...]

    def __str__(self) -> str:
        count = len(self.models)
        return f"{self.program} at {self.url} ({count} model{'' if count == 1 else 's'})"


class ChosenBackend(NamedTuple):
    """Who answers; ``note`` says how it was chosen. ``url`` is ``None`` for the simulated server, not yet started, and
    empty where the settings name several."""

    url: str | None
    note: str


async def look_on_loopback(skip_ports: frozenset[int] = frozenset()) -> list[LlmServer]:
    """Every LLM server on the usual ports of 127.0.0.1, asked at the same time, most preferred first."""
    candidates = [candidate for candidate in CANDIDATES if candidate.port not in skip_ports]
    answers = await asyncio.gather(*(identify(f"http://127.0.0.1:{port}", guess) for guess, port in candidates))
    return [answer for answer in answers if isinstance(answer, LlmServer)]


def choose_backend(settings: Settings, origin: str) -> ChosenBackend:
    """The one that was named, else one found on loopback, else (``url`` is ``None``) the simulated one."""
    if settings.backends:
        return ChosenBackend("", f"{len(settings.backends)} of the file")
    if settings.backend == DEMO:
        return ChosenBackend(None, f"the simulated server was asked for ({origin})")
    if settings.backend is not None:
        return ChosenBackend(settings.backend, origin)
    found = asyncio.run(look_on_loopback(frozenset({settings.port, settings.metrics_port})))
    if not found:
        looked_at = ", ".join(f"{candidate.program} {candidate.port}" for candidate in CANDIDATES)
        return ChosenBackend(None, f"no backend was named and no LLM server found on loopback ({looked_at})")
    also = f"; also there: {', '.join(map(str, found[1:]))}" if found[1:] else ""
    count = len(found[0].models)
    return ChosenBackend(
        found[0].url, f"{found[0].program} with {count} model{'' if count == 1 else 's'}, found on loopback{also}"
    )


async def identify(
    base_url: str, guess: str = "LLM server", *, limit_s: float = LIMIT_S, manners: Manners = PLAIN
) -> LlmServer | str:
    """The LLM server behind a base URL, or why it is taken for none, as a clause for people."""
    root = base_url.rstrip("/").removesuffix("/v1")
    questions = (ask(root + "/api/tags", limit_s, manners), ask(root + "/v1/models", limit_s, manners))
    tags, models = await asyncio.gather(*questions, return_exceptions=True)
    if isinstance(tags, DiscoveryAnswer) and (names := _names(tags, "models", "name")) is not None:
        return LlmServer(root, "Ollama", names)
    if isinstance(models, DiscoveryAnswer):
        if (names := _names(models, "data", "id")) is not None:
            return LlmServer(root, _owner(models) or guess, names)
        if (names := _names(models, "models", "name")) is not None:
            return LlmServer(root, "Gemini API", tuple(name.removeprefix("models/") for name in names))
        if models.status in {401, 403}:
            return f"it wants a key (status {models.status} for /v1/models)"
        return f"its answer to /v1/models (status {models.status}) is not a list of models"
    if isinstance(models, TimeoutError):
        return f"no answer within {limit_s:g} s"
    if isinstance(models, (OSError, ValueError)):
        return _why_not(models, root, manners.server_name)
    raise models


def _why_not(error: Exception, root: str, server_name: str | None) -> str:
    parts = urlsplit(root)
    reason = tls_reasons.why(error, server_name or parts.hostname or "", tls_reasons.BACKEND)
    words = str(error) or type(error).__name__
    if reason is None and isinstance(error, ConnectionResetError | ConnectionAbortedError):
        if parts.scheme == "http":
            return f"{words}; if it {tls_reasons.SPEAKS_TLS}"
        reason = tls_reasons.CLOSED
    return words if reason is None else f"{TLS_FAILED}: it {reason}"


def _names(answer: DiscoveryAnswer, key: str, name: str) -> tuple[str, ...] | None:
    """The models listed under ``key``; ``None`` if the answer is not a list. In Go, no models are ``null``."""
    document = _document(answer)
    if answer.status != 200 or key not in document:
        return None
    models = [] if document[key] is None else document[key]
    if not isinstance(models, list) or not all(isinstance(model, dict) and name in model for model in models):
        return None
    return tuple(str(model[name]) for model in models)


def _owner(answer: DiscoveryAnswer) -> str | None:
    models = _document(answer).get("data") or [{}]
    return _OWNERS.get(str(models[0].get("owned_by")).lower())


def _document(answer: DiscoveryAnswer) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return document if isinstance(document, dict) else {}
