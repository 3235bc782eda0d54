"""What can go wrong, as a table: by itself at a small rate, or on demand with the request header ``x-demo-fault``.

curl -H 'x-demo-fault: 429' …        answers 429 with Retry-After
curl -H 'x-demo-fault: truncate' …   breaks the connection in the middle of the answer
curl -H 'x-demo-fault: none' …       makes sure that nothing goes wrong
"""

from random import Random
from typing import Final, NamedTuple

FAULT_HEADER: Final = b"x-demo-fault"
NO_FAULT: Final = "none"


class FaultAnswer(NamedTuple):
    """A fault that is an answer: status, OpenAI's ``type`` and ``code``, words, further header fields."""

    status: int
    type: str
    code: str | None
    message: str
    fields: tuple[tuple[bytes, bytes], ...] = ()


def context_length_error(asked_tokens: int, limit_tokens: int) -> FaultAnswer:
    """In OpenAI's words."""
    return FaultAnswer(
        400,
        "invalid_request_error",
        "context_length_exceeded",
        f"This model's maximum context length is {limit_tokens} tokens. However, you requested {asked_tokens} tokens.",
    )


ANSWERS: Final = {
    "400": context_length_error(40_000, 32_768),
    "401": FaultAnswer(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided (simulated)."),
    "429": FaultAnswer(
        429, "requests", "rate_limit_exceeded", "Rate limit reached (simulated).", ((b"retry-after", b"2"),)
    ),
    "500": FaultAnswer(500, "server_error", None, "The server had an error (simulated)."),
    "503": FaultAnswer(
        503, "server_error", "server_is_overloaded", "Overloaded (simulated).", ((b"retry-after", b"1"),)
    ),
}
# Faults in the middle of an answer, and the number of tokens after which they strike.
TRUNCATE: Final = "truncate"  # the connection ends without the end of the body
ERROR_EVENT: Final = "error-event"  # an error inside the stream, which then ends
STALL: Final = "stall"  # nothing more comes until the client gives up
SLOW_START: Final = "slow-start"  # the first byte takes five seconds (at speed 1)
IN_THE_MIDDLE: Final = (TRUNCATE, ERROR_EVENT, STALL, SLOW_START)
STRIKES_AFTER_TOKENS: Final = 5
SLOW_START_S: Final = 5.0

NAMES: Final = (*ANSWERS, *IN_THE_MIDDLE, NO_FAULT)

# A busy server's mix. A stall is never drawn: it would hold a connection forever, and exists on demand.
_BY_ITSELF: Final = {"429": 35, "503": 20, "500": 10, TRUNCATE: 20, ERROR_EVENT: 10, SLOW_START: 5}


def draw(random: Random, rate: float) -> str:
    """A fault's name for one request in ``1 / rate``, else ``NO_FAULT``."""
    if random.random() >= rate:
        return NO_FAULT
    return random.choices(tuple(_BY_ITSELF), tuple(_BY_ITSELF.values()))[0]
