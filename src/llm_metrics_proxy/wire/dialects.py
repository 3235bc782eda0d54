"""What a row of the table in ``endpoints`` holds. A dialect is an endpoint whose bodies are read.

Of other requests that may pass, only timing and errors are recorded.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple, Protocol

import msgspec

from llm_metrics_proxy.wire.base import ErrorFacts, RequestFacts, ResponseReader
from llm_metrics_proxy.wire.deflate import Deflate
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.framing import BodyFraming
from llm_metrics_proxy.wire.usage_reports import Reports
from llm_metrics_proxy.wire.websocket import FrameReader

# The operation of dialects that fetch answers which other requests made; their names end in it (``record.is_fetch``).
FETCH: Final = "fetch"

TokenCounter = Callable[[Reports], Usage]

NO_CONTENT: Final = (204, 205)


class Family(StrEnum):
    """Whose API a path belongs to. A backend's ``dialect`` setting says which families it understands."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"
    GEMINI = "gemini"  # Google's: the Gemini API, and Vertex AI with all that it offers
    BEDROCK = "bedrock"
    COHERE = "cohere"
    SHARED = "shared"  # OpenAI's imitators and Cohere have the same paths for it


class Seller(NamedTuple):
    """Who sells the models of an API, where only one does: a provider of the public price lists, and a word that the
    names of all its models have."""

    provider: str
    model_word: str


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table: paths that mean the same, written as ``path_patterns`` says."""

    paths: tuple[str, ...]
    below: tuple[str, ...] = ()  # prefixes where its relative paths stand, instead of those that all others share
    method: str = "POST"  # or GET, DELETE; ``endpoints.PASSING_WITH`` has the methods that pass with it
    family: Family | None = Family.OPENAI  # None: every API has it
    passes: bool = True  # forwarded unless an operator says otherwise: inference, and what reads but changes nothing


class SessionReader(ResponseReader, Protocol):
    """Reads a session over a WebSocket: what the server sends, and of what the client sends its first request.

    ``frames`` counts the server's. ``error`` is the newest error that it reported, whether or not it failed all.
    """

    frames: FrameReader
    error: ErrorFacts | None
    reads_requests: ClassVar[bool]  # the client's messages are wanted; and tokens have times

    def asked(self, message: bytes) -> RequestFacts | None:
        """What a message of the client asks for; None: it is no request."""

    def client_ends(self) -> None:
        """The client ended the session, with or without a close frame. After the server's end it changes nothing."""

    @property
    def was_left(self) -> bool:
        """By the client, while an answer was on its way."""


class Dialect(Endpoint, frozen=True, kw_only=True):
    """An endpoint whose bodies are read."""

    name: str  # stored in the column `dialect`
    operation: str  # OpenTelemetry's gen_ai.operation.name: chat, text_completion and embeddings; the others are ours
    read_request: Callable[[bytes], RequestFacts]
    # Who reads an answer with a successful status; ``first_bytes`` chooses by its framing.
    stream_reader: Callable[[], ResponseReader] | None = None  # of events, or lines; None: never streams
    body_reader: Callable[[], ResponseReader] | None = None  # of one JSON document; None: not read
    streams: BodyFraming = BodyFraming.EVENTS  # how ``stream_reader`` expects them; others are framed for it, if it can
    readers: Mapping[BodyFraming, Callable[[], ResponseReader]] = {}  # of framings that need one of their own
    session_reader: Callable[[Deflate | None], SessionReader] | None = None  # of a WebSocket
    opens_stream: Callable[[bytes], bool] | None = None  # whether a line of JSON is the first of several
    # What an answer must have to be one; ``judgement`` looks at it.
    # One of these members, or of ``name:text`` whose text begins so, or "[": be a list. Without: be JSON and no error.
    signs: tuple[str, ...] = ()
    never_empty: bool = False  # the member is neither null nor an empty list
    raw: frozenset[BodyFraming] = frozenset()  # or it is sound, a picture, a text: good as it is, and not read
    can_inject_usage: bool = False  # streams report usage only with ``stream_options.include_usage``
    provider: str | None = "openai"  # OpenTelemetry's gen_ai.provider.name where the host says nothing
    has_output: bool = True  # answers use output tokens: without their number a request has no price
    seller: Seller | None = None
    tokens: TokenCounter | None = None  # the token counts in what its answers reported
    counts_in_head: bool = False  # header fields of its answers report counts, see ``head_counts``


def media_type(content_type: bytes | None) -> bytes:
    """A Content-Type in lower case and without its parameters; empty if there is none."""
    return b"" if content_type is None else content_type.partition(b";")[0].strip().lower()
