"""What servers and older programs wrote about a failure, as types of 3.0.0's taxonomy.

Kept apart from the tables in ``wire``, which the migration and its oracle read, so that a slip in them shows as a
difference. Frozen with 3.0.0. Words and messages are in lower case; ``None`` means that nothing is told.
"""

import re
from collections.abc import Sequence
from typing import Final


def by_word(**lists: str) -> dict[str, str]:
    """Type by word, from the words of each type in one text."""
    return {word: kind for kind, words in lists.items() for word in words.split()}


# A code or type, in lower case: what it says at any status.
_CODES: Final = by_word(
    context_length="context_length context_length_exceeded exceed_context_size_error context_window_exceeded "
    "contextwindowexceedederror",
    quota="quota quota_exceeded insufficient_quota insufficient_credits insufficient_balance credit_balance_exhausted "
    "organization_spend_limit_exceeded project_spend_limit_exceeded billing_error billing_hard_limit_reached "
    "billing_not_active payment_required budget_exceeded",
    rate_limit="rate_limit rate_limited rate_limit_exceeded rate_limit_error rate_limit_reached ratelimitreached "
    "ratelimiterror slow_down resource_exhausted too_many_requests throttlingexception",
    content_filter="content_filter content_policy_violation contentpolicyviolationerror responsibleaipolicyviolation "
    "prompt_blocked moderation_blocked",
    refusal="refusal",
    model_not_found="model_not_found modelnotfound deploymentnotfound unknown_model",
    too_large="too_large request_too_large payload_too_large",
    unauthenticated="unauthenticated unauthorized invalid_api_key missing_api_key authentication_error "
    "authenticationerror",
    forbidden="forbidden permission_error permission_denied permissiondeniederror insufficient_permissions "
    "access_denied unsupported_country_region_territory",
    overloaded="overloaded overloaded_error server_is_overloaded engine_overloaded unavailable unavailable_error "
    "service_unavailable serviceunavailableerror",
    timeout="timeout timeout_error deadline_exceeded request_timeout gateway_timeout",
    bad_gateway="bad_gateway",
    unsupported="unsupported not_supported_error not_implemented notimplementederror unimplemented",
    conflict="conflict conflict_error",
    endpoint_not_found="endpoint_not_found unknown_url method_not_allowed",
    internal="internal",
    invalid="invalid",
    error_event="error_event",
)
# Where codes contradict each other, the one further left decides.
_CODE_ORDER: Final = tuple(dict.fromkeys(_CODES.values()))
# Generic codes: a status of an error says more than they do.
_GENERIC: Final = by_word(
    invalid="invalid_request_error badrequesterror invalid_argument bad_request badrequest unprocessableentityerror "
    "invalid_prompt",
    endpoint_not_found="notfounderror not_found_error not_found",
    internal="server_error api_error apierror internal_error internalservererror internal_server_error",
)
_CONTEXT_TEXT: Final = re.compile(
    r"maximum context length|context length exceeded|context_length_exceeded|prompt is too long|"
    r"exceeds the available context size|exceed context limit|exceeds? the context window|input is too long for|"
    r"longest context|exceeds the maximum number of tokens|exceeds context length|exceeds maximum input length|"
    r"exceeds the model's maximum length|longer than the (?:model's context|maximum model) length|"
    r"input length exceeds the context length"
)
_QUOTA_TEXT: Final = re.compile(
    r"exceeded your current quota|credit balance is too low|insufficient(?: balance| credits|_quota)|"
    r"requires more credits|spend limit|billing hard limit|budget has been exceeded"
)
_FILTER_TEXT: Final = re.compile(r"content management policy|content filtering policies|by our safety system")
_NO_MODEL_TEXT: Final = re.compile(
    r"does not exist|not found|not exist|no such model|not a valid model|invalid model|model: "
)
_RATE_TEXT: Final = re.compile(r"rate limit (?:reached|exceeded)|too many requests")
_BUSY_TEXT: Final = re.compile(r"loading model|overloaded|server busy")
_DNS_TEXT: Final = (
    r"name or service not known|getaddrinfo|nodename nor servname|temporary failure in name resolution|"
    r"could not be resolved"
)
# What other programs wrote about connections and exceptions: a word, or a part of the message; in order.
_ELSEWHERE: Final = tuple(
    (kind, frozenset(words.split()), re.compile(text or r"(?!)"))
    for kind, words, text in (
        ("dns", "gaierror", _DNS_TEXT),
        ("connect_refused", "connectionrefusederror", "connection refused|connect call failed"),
        ("connect_timeout", "connecttimeout connecttimeouterror connectiontimeouterror",
         "connection timeout to host|connect timeout"),
        ("tls", "sslerror sslcertverificationerror clientconnectorsslerror", "certificate verify failed|tls handshake"),
        ("disconnect", "disconnect client_disconnect client_disconnected clientdisconnect cancelled cancellederror",
         ""),
        ("reset", "connectionreseterror remoteprotocolerror serverdisconnectederror readerror",
         "connection reset|server disconnected|peer closed connection"),
        ("first_byte_timeout", "readtimeout timeouterror timeoutexception serverttimeouterror upstream_timeout",
         "timed out|read timeout"),
        ("connect_failed", "connecterror connectionerror connection_error clientconnectorerror",
         "cannot connect to host|all connection attempts failed|no route to host"),
        ("internal", "server_error api_error internal_error internalservererror internal_server_error", ""),
        ("invalid", "invalid_request_error badrequesterror bad_request", ""),
    )
)  # fmt: skip
_STATUS: Final = {
    401: "unauthenticated", 402: "quota", 403: "forbidden", 404: "endpoint_not_found", 405: "endpoint_not_found",
    408: "timeout", 409: "conflict", 413: "too_large", 429: "rate_limit", 501: "unsupported", 502: "bad_gateway",
    503: "overloaded", 504: "timeout", 524: "timeout", 529: "overloaded",
}  # fmt: skip


def from_server(words: Sequence[str], message: str, status: int | None) -> str | None:
    """By codes and message: what the request asked too much of, then money, before anything that a rate limit says."""
    codes = {_CODES[word] for word in words if word in _CODES}
    is_error = status is not None and status >= 400
    in_words = next((int(word) for word in words if re.fullmatch("[45][0-9][0-9]", word)), None)
    shown = status if is_error else in_words
    for name, text in (("context_length", None), ("quota", None), ("context_length", _CONTEXT_TEXT),
                       ("quota", _QUOTA_TEXT)):  # fmt: skip
        if name in codes if text is None else text.search(message):
            return name
    if codes:
        return min(codes, key=_CODE_ORDER.index)
    if _FILTER_TEXT.search(message):
        return "content_filter"
    if shown in {400, 404} and "model" in message and _NO_MODEL_TEXT.search(message):
        return "model_not_found"
    if _RATE_TEXT.search(message):
        return "rate_limit"
    if _BUSY_TEXT.search(message):
        return "overloaded"
    if is_error:
        return None
    if shown is not None:
        return from_status(shown)
    generic = {_GENERIC[word] for word in words if word in _GENERIC}
    return next((kind for kind in ("invalid", "endpoint_not_found", "internal") if kind in generic), None)


def from_elsewhere(words: Sequence[str], message: str) -> str | None:
    """By the words of other programs, for failures that their server told nothing of."""
    for kind, known, text in _ELSEWHERE:
        if not known.isdisjoint(words) or text.search(message):
            return kind
    return None


def from_status(status: int | None) -> str | None:
    """By the status alone: of errors, all have a type."""
    if status is None or status < 400:
        return None
    return _STATUS.get(status, "invalid" if status < 500 else "internal")
