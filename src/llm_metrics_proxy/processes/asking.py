"""One GET to a server: bounded in time and size, nothing followed, with the manners that its settings ask for."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import httptools

from llm_metrics_proxy import tls_reasons

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024  # OpenRouter's list of models is about half a megabyte
_KEY_FIELDS: Final = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}  # by dialect, as ``routing`` has them


class DiscoveryAnswer(NamedTuple):
    """An HTTP answer: status, whole body, and the names of its fields in lower case."""

    status: int
    body: bytes
    fields: frozenset[str] = frozenset()


class Manners(NamedTuple):
    """How to talk to a server: header lines, the TLS context, and the name that TLS sends and checks."""

    lines: str = ""
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    host: str | None = None  # of the header Host, where the URL has another
    accept: str = "application/json"


PLAIN: Final = Manners()


class BackendManners(Protocol):
    """What a backend's own settings say of how it is talked to; ``None``: as all of them."""

    @property
    def dialect(self) -> str | None: ...
    @property
    def add_headers(self) -> Mapping[str, str]: ...
    @property
    def ca_file(self) -> str | None: ...
    @property
    def tls_server_name(self) -> str | None: ...
    @property
    def tls_verify(self) -> bool | None: ...
    @property
    def host_header(self) -> str | None: ...


class CommonManners(Protocol):
    """What the settings of all backends say."""

    @property
    def upstream_ca_file(self) -> str | None: ...
    @property
    def upstream_host_header(self) -> str | None: ...
    @property
    def upstream_tls_verify(self) -> bool: ...


def verifies(it: BackendManners, common: CommonManners) -> bool:
    """Whether its certificate is checked."""
    return common.upstream_tls_verify if it.tls_verify is None else it.tls_verify


def manners_of(it: BackendManners, key: str | None, common: CommonManners) -> Manners:
    """How the workers talk to a backend. ``key``: in place of a client's."""
    lines = [f"{name}: {value}\r\n" for name, value in it.add_headers.items()]
    if key:
        field = _KEY_FIELDS.get(it.dialect or "")
        lines.append(f"Authorization: Bearer {key}\r\n" if field is None else f"{field}: {key}\r\n")
    trust = trusting(it.ca_file or common.upstream_ca_file, verifies=verifies(it, common))
    return Manners("".join(lines), trust, it.tls_server_name, it.host_header or common.upstream_host_header)


def trusting(ca_file: str | None, *, verifies: bool) -> ssl.SSLContext:
    """A context that trusts these certificates, or any."""
    context = ssl.create_default_context(cafile=ca_file)
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def ask(
    url: str, limit_s: float, manners: Manners = PLAIN, most_bytes: int = MAX_ANSWER_BYTES
) -> DiscoveryAnswer:
    """GET one URL. Raises ``OSError``, ``TimeoutError``, or ``ValueError`` for what is not HTTP or too long."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = (manners.tls or ssl.create_default_context()) if secure else None
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(
            parts.hostname, port, ssl=context, server_hostname=manners.server_name if secure else None
        )
        try:
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            head = f"GET {target} HTTP/1.1\r\nHost: {manners.host or parts.netloc}\r\nAccept: {manners.accept}\r\n"
            writer.write(f"{head}{manners.lines}Connection: close\r\n\r\n".encode("latin-1"))
            return await _read_answer(reader, most_bytes)
        finally:
            writer.transport.abort()


class _Collector:
    """httptools' callbacks: joins the body, whatever framing it came in."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.fields: set[str] = set()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002 -- names are enough
        self.fields.add(name.decode("latin-1").lower())

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


async def _read_answer(reader: asyncio.StreamReader, most_bytes: int) -> DiscoveryAnswer:
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    received = 0
    while not collector.complete and (data := await reader.read(64 * 1024)):
        received += len(data)
        if received > most_bytes:
            raise ValueError(f"an answer of more than {most_bytes} bytes")
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            if tls_reasons.is_tls(data):
                raise ValueError(f"it {tls_reasons.SPEAKS_TLS}") from error
            raise ValueError(f"what answers does not speak HTTP ({error})") from error
    if not received:
        raise ConnectionResetError("the connection was closed without an answer")
    if not (status := parser.get_status_code()):
        raise ValueError("the connection was closed in the middle of an answer")
    return DiscoveryAnswer(status, bytes(collector.body), frozenset(collector.fields))
