"""What a row of the table in ``endpoints`` holds. A dialect is an endpoint whose bodies are read.

Of other requests that may pass, only timing and errors are recorded.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.wire.base import EVENT_STREAM, RequestFacts, ResponseReader
from llm_metrics_proxy.wire.error_body import ErrorBodyReader
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.usage_reports import Reports

_NO_CONTENT: Final = (204, 205)
_JSON: Final = (b"", b"application/json")  # a body without a type counts as JSON, as everywhere


class Family(StrEnum):
    """Whose API a path belongs to. A backend's ``dialect`` setting says which families it understands."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"
    GEMINI = "gemini"  # Google's: the Gemini API, and Vertex AI with all that it offers


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


class Dialect(Endpoint, frozen=True, kw_only=True):
    """An endpoint whose bodies are read."""

    name: str  # stored in the column `dialect`
    operation: str  # OpenTelemetry's gen_ai.operation.name: chat, text_completion and embeddings; the others are ours
    read_request: Callable[[bytes], RequestFacts]
    stream_reader: Callable[[], ResponseReader] | None = None  # None: never streams
    body_reader: Callable[[], ResponseReader] | None = None  # of other bodies with a successful status; None: not read
    stream_types: frozenset[bytes] = EVENT_STREAM  # media types of bodies that ``stream_reader`` reads
    only_json: bool = False  # ``body_reader`` reads JSON only, never other bodies (sound, pictures)
    can_inject_usage: bool = False  # streams report usage only with ``stream_options.include_usage``
    provider: str | None = "openai"  # OpenTelemetry's gen_ai.provider.name where the host says nothing
    has_output: bool = True  # answers use output tokens: without their number a request has no price
    seller: Seller | None = None
    tokens: Callable[[Reports], Usage] | None = None  # the token counts in what its answers reported


def reader_for(dialect: Dialect | None, status: int, media: bytes) -> ResponseReader | None:
    """The reader of a final response's body, chosen by what the answer says of itself, whatever the request asked for;
    ``media`` is its ``media_type``.

    None: the body has no facts for us (no dialect, a redirect, no content, sound or pictures). An error status is read
    without a dialect too; its reader sees for itself whether JSON, an event stream, HTML or text came.
    """
    if status >= 400:
        return ErrorBodyReader()
    if dialect is None or not 200 <= status < 300 or status in _NO_CONTENT:
        return None
    make = dialect.body_reader
    if dialect.stream_reader is not None and media in dialect.stream_types:
        make = dialect.stream_reader
    elif dialect.only_json and media not in _JSON:
        return None
    return None if make is None else make()


def media_type(content_type: bytes | None) -> bytes:
    """A Content-Type in lower case and without its parameters; empty if there is none."""
    return b"" if content_type is None else content_type.partition(b";")[0].strip().lower()
