"""Content-Encoding undone on a copy of a response body, piece by piece, to read its facts.

The client's bytes are never touched. Nothing here raises: a copy that cannot be decoded sets ``failed``, and the
exchange goes on without facts. Codings: RFC 9110 section 8.4.1, RFC 7932 (br), RFC 8878 and 9659 (zstd).
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import brotli  # type: ignore[import-untyped]

from llm_metrics_proxy.zstandard import zstd

# Against decompression bombs. Real answers expand up to about 20 times; a stream of one repeated token 100 times.
MAX_FEED_BYTES: Final = 16 * 1024 * 1024  # decoded from the bytes of one feed
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024  # decoded in all, before the ratio is checked
MAX_RATIO: Final = 200

_STEP_BYTES: Final = 1024 * 1024  # decoded at once
_ZSTD_WINDOW_LOG: Final = 23  # 8 MiB. RFC 9659 section 3: the largest window that a sender may use in HTTP
_MAX_CODINGS: Final = 3
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS


class _TooLargeError(Exception):
    """A decoded copy grew beyond the limits."""


_CORRUPT: Final = (zlib.error, brotli.error, zstd.ZstdError, _TooLargeError)


class _Coding(Protocol):
    def steps(self, data: bytes) -> Iterator[bytes]:
        """Everything in ``data`` that the sender has flushed, decoded in bounded steps."""


class _Gzip:
    """RFC 1952: one member or several; what follows the last one is ignored, as browsers and gzip(1) do."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_WBITS)
        self._start = b""  # of what follows a member, until it is long enough to recognise
        self._ended = False

    def steps(self, data: bytes) -> Iterator[bytes]:
        while data and not self._ended:
            if self._inflate.eof:
                data = self._start = self._start + data
                if len(data) < len(_GZIP_MAGIC):
                    return
                self._start = b""
                self._ended = not data.startswith(_GZIP_MAGIC)
                self._inflate = zlib.decompressobj(_GZIP_WBITS)
                continue
            yield self._inflate.decompress(data, _STEP_BYTES)
            while self._inflate.unconsumed_tail:
                yield self._inflate.decompress(self._inflate.unconsumed_tail, _STEP_BYTES)
            data = self._inflate.unused_data


class _Deflate:
    """``deflate`` is the zlib format (RFC 9110 section 8.4.1.2), but some senders leave zlib's two-byte header out."""

    def __init__(self) -> None:
        self._start = b""
        self._inflate: zlib._Decompress | None = None

    def steps(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950 section 2.2
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        if not self._inflate.eof:
            yield self._inflate.decompress(data, _STEP_BYTES)
            while self._inflate.unconsumed_tail:
                yield self._inflate.decompress(self._inflate.unconsumed_tail, _STEP_BYTES)


class _Brotli:
    """RFC 7932; the bound on a step needs brotli 1.2."""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def steps(self, data: bytes) -> Iterator[bytes]:
        while not self._decompressor.is_finished():
            step = self._decompressor.process(data, output_buffer_limit=_STEP_BYTES)
            yield step
            data = b""
            if not step:
                return


class _Zstd:
    """One frame or several; skippable frames give nothing."""

    def __init__(self) -> None:
        self._frame = _zstd_frame()

    def steps(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame.eof:
                self._frame = _zstd_frame()
            yield self._frame.decompress(data, _STEP_BYTES)
            while not (self._frame.eof or self._frame.needs_input):
                yield self._frame.decompress(b"", _STEP_BYTES)
            data = self._frame.unused_data


def _zstd_frame() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


_CODINGS: Final[dict[bytes, Callable[[], _Coding]]] = {
    b"gzip": _Gzip,
    b"x-gzip": _Gzip,  # RFC 9110 section 8.4.1.3: the same
    b"deflate": _Deflate,
    b"br": _Brotli,
    b"zstd": _Zstd,
}
_NO_CODING: Final = (b"", b"identity")


class Decoder:
    """Decodes one body. ``failed``: there is nothing (more) to read; ``unsupported``: because the coding is unknown."""

    __slots__ = ("_codings", "_input_bytes", "_output_bytes", "failed", "unsupported")

    def __init__(self, codings: list[_Coding], *, unsupported: bool = False) -> None:
        self._codings = codings  # in the order of decoding: the last one applied comes first
        self._input_bytes = 0
        self._output_bytes = 0
        self.failed = unsupported
        self.unsupported = unsupported

    def feed(self, data: bytes) -> bytes:
        """What ``data`` decodes to, everything that the sender has flushed; ``b""`` once failed."""
        return b"".join(self.steps(data, MAX_FEED_BYTES))

    def steps(self, data: bytes, max_feed_bytes: int = MAX_TOTAL_BYTES) -> Iterator[bytes]:
        """The same in steps, for those who let go of one before they take the next."""
        if self.failed:
            return
        self._input_bytes += len(data)
        most = self._output_bytes + max_feed_bytes
        try:
            for step in self._decode(data, 0):
                yield step
                self._bound(most)
        except _CORRUPT:
            self.failed = True

    def _decode(self, data: bytes, number: int) -> Iterator[bytes]:
        if number == len(self._codings):
            yield data
            return
        for step in self._codings[number].steps(data):
            self._output_bytes += len(step)
            yield from self._decode(step, number + 1)

    def _bound(self, most: int) -> None:
        total = self._output_bytes
        if total > most or (total > MAX_TOTAL_BYTES and total > MAX_RATIO * self._input_bytes):
            raise _TooLargeError


def decoder_for(content_encoding: bytes | None) -> Decoder | None:
    """The decoder for a Content-Encoding field, such as ``gzip`` or ``deflate, br``; None if the body is as it is."""
    if content_encoding is None:
        return None
    names = [name.strip().lower() for name in content_encoding.split(b",")]
    names = [name for name in names if name not in _NO_CODING]
    if not names:
        return None
    if len(names) > _MAX_CODINGS or any(name not in _CODINGS for name in names):
        return Decoder([], unsupported=True)
    return Decoder([_CODINGS[name]() for name in reversed(names)])
