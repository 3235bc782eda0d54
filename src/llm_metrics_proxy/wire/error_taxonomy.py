"""What can go wrong, as one table: category, type, meaning, and what to do about it."""

from typing import Final, NamedTuple


class Row(NamedTuple):
    """One kind of error; ``type`` is unique within its ``category``."""

    category: str
    type: str
    meaning: str
    advice: str


TAXONOMY: Final[tuple[Row, ...]] = tuple(
    Row(category, type_, f"{category}: {type_}", "See the message.")
    for category, types in (
        ("request", "context_length too_large model_not_found endpoint_not_found unsupported conflict invalid"),
        ("auth", "unauthenticated forbidden"),
        ("limit", "quota rate_limit"),
        ("policy", "content_filter refusal"),
        ("upstream", "overloaded timeout bad_gateway internal"),
        ("network", "dns connect_refused connect_timeout tls reset first_byte_timeout idle_timeout protocol"),
        ("stream", "error_event truncated malformed empty"),
        ("client", "disconnect_before_first_token disconnect_mid_stream slow_request bad_http"),
        ("proxy", "saturated config internal crashed record_lost"),
        ("unknown", "unknown"),
    )
    for type_ in types.split()
)
CATEGORIES: Final = tuple(dict.fromkeys(row.category for row in TAXONOMY))
OUTCOMES: Final = (
    "completed",
    "client_disconnected",
    "upstream_error",
    "upstream_truncated",
    "timeout",
    "network_error",
    "proxy_refused",
    "proxy_crashed",
)
PHASES: Final = ("request", "connect", "before_first_token", "mid_stream")
