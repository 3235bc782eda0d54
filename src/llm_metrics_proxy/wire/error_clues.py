"""What servers' codes, types, messages and statuses say, as types of the taxonomy. Pure tables and their look-up.

Gathered from OpenAI, Azure, Anthropic, Gemini, DeepSeek, OpenRouter, vLLM, SGLang, llama.cpp, Ollama, LiteLLM and
FastAPI. Frozen with the migration to 3.0.0, whose SQL is made from these tables. What a later version recognises is
another clue at the end of ``CLUES``, with its ``since``; a new type brings its own in its row of ``error_types``.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from llm_metrics_proxy.wire.error_types import FIRST


class Clue(NamedTuple):
    """``words`` are whole codes or types in lower case; ``texts`` parts of a message in lower case.

    ``also`` must be in the message beside a text; ``statuses``, if any, are those where texts count. ``since``: the
    version that first looks for them.
    """

    type: str
    words: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    also: str = ""
    statuses: tuple[int, ...] = ()
    since: str = FIRST


# The first that fits decides: what outranks a rate limit or a bare status comes first.
CLUES: Final[tuple[Clue, ...]] = (
    Clue("context_length", words=("context_length_exceeded", "exceed_context_size_error", "context_length",
                                  "context_window_exceeded", "contextwindowexceedederror")),
    Clue("quota", words=("insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
                         "project_spend_limit_exceeded", "billing_error", "billing_hard_limit_reached", "quota",
                         "billing_not_active", "quota_exceeded", "insufficient_credits", "insufficient_balance",
                         "payment_required", "budget_exceeded")),
    Clue("context_length", texts=("maximum context length", "context length exceeded", "context_length_exceeded",
                                  "prompt is too long", "exceeds the available context size", "exceed context limit",
                                  "exceeds the context window", "input is too long for", "longest context",
                                  "exceeds the maximum number of tokens", "exceeds context length",
                                  "exceeds the model's maximum length", "longer than the model's context length",
                                  "exceed the context window", "longer than the maximum model length",
                                  "exceeds maximum input length", "input length exceeds the context length")),
    Clue("quota", texts=("exceeded your current quota", "credit balance is too low", "insufficient balance",
                         "insufficient credits", "requires more credits", "spend limit", "billing hard limit",
                         "budget has been exceeded", "insufficient_quota")),
    Clue("rate_limit", words=("rate_limit", "rate_limit_exceeded", "rate_limit_error", "slow_down", "ratelimiterror",
                              "resource_exhausted", "too_many_requests", "throttlingexception", "rate_limit_reached",
                              "rate_limited", "ratelimitreached")),
    Clue("content_filter", words=("content_filter", "content_policy_violation", "responsibleaipolicyviolation",
                                  "contentpolicyviolationerror", "prompt_blocked", "moderation_blocked")),
    Clue("refusal", words=("refusal",)),
    Clue("model_not_found", words=("model_not_found", "deploymentnotfound", "unknown_model", "modelnotfound")),
    Clue("too_large", words=("too_large", "request_too_large", "payload_too_large")),
    Clue("unauthenticated", words=("unauthenticated", "invalid_api_key", "authentication_error", "authenticationerror",
                                   "missing_api_key", "unauthorized")),
    Clue("forbidden", words=("forbidden", "permission_error", "permission_denied", "permissiondeniederror",
                             "insufficient_permissions", "unsupported_country_region_territory", "access_denied")),
    Clue("overloaded", words=("overloaded", "server_is_overloaded", "overloaded_error", "unavailable_error",
                              "unavailable", "serviceunavailableerror", "service_unavailable", "engine_overloaded")),
    Clue("timeout", words=("timeout", "timeout_error", "deadline_exceeded", "request_timeout", "gateway_timeout")),
    Clue("bad_gateway", words=("bad_gateway",)),
    Clue("unsupported", words=("unsupported", "not_supported_error", "notimplementederror", "not_implemented",
                               "unimplemented")),
    Clue("conflict", words=("conflict", "conflict_error")),
    Clue("endpoint_not_found", words=("endpoint_not_found", "unknown_url", "method_not_allowed")),
    Clue("internal", words=("internal",)),  # the taxonomy's own words, and Google's
    Clue("invalid", words=("invalid",)),
    Clue("error_event", words=("error_event",)),
    Clue("content_filter", texts=("content management policy", "content filtering policies", "by our safety system")),
    Clue("model_not_found", also="model", statuses=(400, 404), texts=(
        "does not exist", "not found", "not exist", "no such model", "not a valid model", "invalid model",
        "model: ")),
    Clue("rate_limit", texts=("rate limit reached", "rate limit exceeded", "too many requests")),
    Clue("overloaded", texts=("loading model", "overloaded", "server busy")),
    # AWS: the type says more than the status, which is 400 for a quota, 424 for a model, 429 for one that still loads.
    Clue("context_length", since="4.5.0", texts=(
        "number of input tokens exceeds maximum length", "too many input tokens", "expected maxlength")),
    Clue("quota", since="4.5.0", words=("servicequotaexceededexception",)),
    Clue("overloaded", since="4.5.0", words=("modelnotreadyexception", "serviceunavailableexception")),
    Clue("internal", since="4.5.0", words=(
        "modelerrorexception", "modelstreamerrorexception", "internalserverexception", "internalfailure")),
    Clue("timeout", since="4.5.0", words=("modeltimeoutexception",)),
    Clue("forbidden", since="4.5.0", words=("accessdeniedexception",)),
    Clue("unauthenticated", since="4.5.0", words=(
        "unrecognizedclientexception", "invalidsignatureexception", "incompletesignatureexception",
        "missingauthenticationtokenexception", "expiredtokenexception", "signaturedoesnotmatch")),
    Clue("model_not_found", since="4.5.0", words=("resourcenotfoundexception",)),
    Clue("content_filter", since="4.5.0", words=("error_toxic",)),  # Cohere
)  # fmt: skip
# Words that say little: they count where no status of 400 or more stands beside them.
VAGUE: Final[tuple[Clue, ...]] = (
    Clue("invalid", words=("invalid_request_error", "badrequesterror", "invalid_argument", "bad_request",
                           "badrequest", "unprocessableentityerror", "invalid_prompt")),
    Clue("endpoint_not_found", words=("notfounderror", "not_found_error", "not_found")),
    Clue("internal", words=("server_error", "api_error", "internal_error", "internalservererror",
                            "internal_server_error", "apierror")),
)  # fmt: skip
# What other programs wrote down about connections, in records that have no outcome.
LEGACY: Final[tuple[Clue, ...]] = (
    Clue("dns", words=("gaierror",), texts=("name or service not known", "getaddrinfo", "nodename nor servname",
                                            "temporary failure in name resolution", "could not be resolved")),
    Clue("connect_refused", words=("connectionrefusederror",), texts=("connection refused", "connect call failed")),
    Clue("connect_timeout", words=("connecttimeout", "connecttimeouterror", "connectiontimeouterror"),
         texts=("connection timeout to host", "connect timeout")),
    Clue("tls", words=("sslerror", "sslcertverificationerror", "clientconnectorsslerror"),
         texts=("certificate verify failed", "tls handshake")),
    Clue("disconnect_before_first_token", words=("client_disconnect", "client_disconnected", "clientdisconnect",
                                                 "cancellederror", "cancelled", "disconnect")),
    Clue("reset", words=("connectionreseterror", "remoteprotocolerror", "serverdisconnectederror", "readerror"),
         texts=("connection reset", "server disconnected", "peer closed connection")),
    Clue("first_byte_timeout", words=("readtimeout", "timeouterror", "timeoutexception", "serverttimeouterror",
                                      "upstream_timeout"), texts=("timed out", "read timeout")),
    Clue("connect_failed", words=("connecterror", "connectionerror", "connection_error", "clientconnectorerror"),
         texts=("cannot connect to host", "all connection attempts failed", "no route to host")),
    Clue("internal", words=("server_error", "api_error", "internal_error", "internalservererror",
                            "internal_server_error")),
    Clue("invalid", words=("invalid_request_error", "badrequesterror", "bad_request")),
)  # fmt: skip
STATUSES: Final[dict[int, str]] = {
    401: "unauthenticated", 402: "quota", 403: "forbidden", 404: "endpoint_not_found", 405: "endpoint_not_found",
    408: "timeout", 409: "conflict", 413: "too_large", 429: "rate_limit", 501: "unsupported", 502: "bad_gateway",
    503: "overloaded", 504: "timeout", 524: "timeout", 529: "overloaded",
}  # fmt: skip

_STATUS: Final = re.compile("[45][0-9][0-9]")
# As SQLite's lower(): ASCII only, and up to the first NUL. A record reads alike in both languages.
_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def lower(text: str) -> str:
    """As the SQL of the migration does it."""
    return text.partition("\0")[0].translate(_LOWER)


def _first(clues: Sequence[Clue], words: frozenset[str], message: str, status: int | None) -> str | None:
    for each in clues:
        if not words.isdisjoint(each.words):
            return each.type
        counts = bool(each.texts) and (not each.statuses or status in each.statuses) and each.also in message
        if counts and any(text in message for text in each.texts):
            return each.type
    return None


def clue(words: Sequence[str], message: str | None, status: int | None, clues: Sequence[Clue] = CLUES) -> str | None:
    """The type by a server's words; ``None`` if they leave it to its status."""
    lowered = [lower(word) for word in words]
    shown = status if status is not None and status >= 400 else _status_in(lowered)
    found = _first(clues, frozenset(lowered), lower(message or ""), shown)
    if found is None and (status is None or status < 400):  # an error inside a success: all there is are words
        found = status_clue(shown) if shown is not None else _first(VAGUE, frozenset(lowered), "", None)
    return found


def _status_in(words: Sequence[str]) -> int | None:
    """A status given as code, as OpenRouter does inside a 200."""
    return next((int(word) for word in words if _STATUS.fullmatch(word)), None)


def status_clue(status: int) -> str | None:
    """The type of a bare status, ``None`` below 400."""
    if status < 400:
        return None
    return STATUSES.get(status) or ("invalid" if status < 500 else "internal")


def legacy_clue(words: Sequence[str], message: str | None) -> str | None:
    """The type by another program's own words."""
    return _first(LEGACY, frozenset(map(lower, words)), lower(message or ""), None)
