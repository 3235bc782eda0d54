"""Messages of AWS's event streams, written from the specification, for fakes of Bedrock. Apart from the reader."""

import base64
import json
import struct
import zlib
from typing import Any

HeaderValue = bool | int | bytes | str


def header(name: str, value: HeaderValue) -> bytes:
    """One header in the type that its value has in Python; integers take eight bytes."""
    start = struct.pack("!B", len(name.encode())) + name.encode()
    match value:
        case bool():
            return start + (b"\x00" if value else b"\x01")
        case int():
            return start + b"\x05" + struct.pack("!q", value)
        case bytes():
            return start + b"\x06" + struct.pack("!H", len(value)) + value
    return start + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()


def message(payload: bytes, headers: bytes) -> bytes:
    """A whole message around them."""
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    begun = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return begun + struct.pack("!I", zlib.crc32(begun))


def event(kind: str, value: Any, *, more: bytes = b"") -> bytes:
    """An event as Bedrock sends it."""
    headers = header(":event-type", kind) + header(":content-type", "application/json")
    return message(json.dumps(value, separators=(",", ":")).encode(), headers + more + header(":message-type", "event"))


def exception(kind: str, value: Any) -> bytes:
    """An exception in the middle of a stream."""
    headers = header(":exception-type", kind) + header(":content-type", "application/json")
    return message(json.dumps(value).encode(), headers + header(":message-type", "exception"))


def error(code: str, words: str) -> bytes:
    """An error that the service's model does not know."""
    headers = header(":message-type", "error") + header(":error-code", code) + header(":error-message", words)
    return message(b"", headers)


def chunk(value: Any, padding: str = "abcdefgh") -> bytes:
    """A message of InvokeModelWithResponseStream around an event of the model's maker."""
    inner = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return event("chunk", {"bytes": base64.b64encode(inner).decode(), "p": padding})
