"""How records look as bytes. Pure: no files, no clock.

    folder    {worker_id}-{segment:08d}.journal, one worker writing one segment after another
    segment   MAGIC, then frames
    frame     u32 length of the payload | u32 CRC-32 of the payload | payload       (little-endian)
    payload   one byte KIND, then MessagePack

The CRC starts from a seed made of the segment's own name, instead of from 0. So neither text that a client chose (a
model named like a frame) nor a block of another segment that surfaces after a power loss passes for a frame while the
reader looks for the next sound one behind a damaged place. SQLite salts its WAL frames for the same reason.
"""

import re
import struct
import zlib
from enum import Enum, auto
from functools import lru_cache
from math import isfinite
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.record import RequestRecord

MAGIC: Final = b"LLMJRNL\x01"  # the last byte is the format's version
HEADER: Final = struct.Struct("<II")
MAX_PAYLOAD_BYTES: Final = 256 * 1024  # heads are bounded at 64 KiB, so no record comes near

OPENED: Final = 1  # a RequestRecord with the facts known when the request was accepted
CLOSED: Final = 2  # the whole RequestRecord
LOST: Final = 3  # a list of stubs (see `stub`) of requests that ended, but whose closed frames could not be written

NAME: Final = re.compile(r"(?P<worker_id>[0-9a-f]+)-(?P<segment>[0-9]{8,})\.journal")
LOCK_NAME: Final = re.compile(r"(?P<worker_id>[0-9a-f]+)\.lock")

decode_record: Final = msgspec.msgpack.Decoder(RequestRecord).decode
decode_lost: Final = msgspec.msgpack.Decoder(list[RequestRecord]).decode
encode: Final = msgspec.msgpack.Encoder().encode

Frame = tuple[int, bytes]  # kind, MessagePack body

# A whole frame that a damaged place may be followed by: a length that is allowed, any CRC, any kind that may exist.
_CANDIDATE: Final = re.compile(rb"(?=[\x00-\xff]{2}[\x00-\x04]\x00[\x00-\xff]{4}[\x01-\x7f])")
# How msgspec begins a RequestRecord: array 16, its u16 length, then text of 32 bytes, which is the request's id.
_ID_PREFIX: Final = b"\xd9\x20"


def segment_name(worker_id: str, segment: int) -> str:
    """The file's name; zero-padded so that a listing reads in order."""
    return f"{worker_id}-{segment:08d}.journal"


def lock_name(worker_id: str) -> str:
    """The file whose lock the worker holds for as long as it lives."""
    return f"{worker_id}.lock"


@lru_cache(maxsize=64)
def seed(name: str) -> int:
    """The CRC from which those of the segment called ``name`` go on."""
    return zlib.crc32(name.encode())


@lru_cache(maxsize=64)
def seeds(name: str) -> tuple[int, ...]:
    """The same after each possible kind byte, so that a body is checked and decoded without copying it twice."""
    start = seed(name)
    return tuple(zlib.crc32(bytes((kind,)), start) for kind in range(256))


def frame(payload: bytes, name: str) -> bytes:
    """One whole frame for the segment called ``name``."""
    return HEADER.pack(len(payload), zlib.crc32(payload, seed(name))) + payload


class ParseStop(Enum):
    """Why parsing went no further."""

    NEED_MORE = auto()  # the data ends at a frame's boundary or inside a frame
    BAD = auto()  # this is not a frame


class Parsed(NamedTuple):
    """``frames`` up to ``end``, which is where the first byte that is not theirs stands."""

    frames: list[Frame]
    end: int
    stop: ParseStop


def parse_frames(data: bytes, name: str) -> Parsed:
    """Every whole frame from the beginning of ``data``. Never raises."""
    frames: list[Frame] = []
    crc_after = seeds(name)
    unpack, crc32, size, position = HEADER.unpack_from, zlib.crc32, len(data), 0
    while position + HEADER.size < size:
        length, crc = unpack(data, position)
        if not 0 < length <= MAX_PAYLOAD_BYTES:  # 0 would make eight zero bytes, a power loss's favourite, a frame
            return Parsed(frames, position, ParseStop.BAD)
        end = position + 8 + length
        if end > size:
            break
        kind = data[position + 8]
        body = data[position + 9 : end]
        if crc32(body, crc_after[kind]) != crc:
            return Parsed(frames, position, ParseStop.BAD)
        frames.append((kind, body))
        position = end
    return Parsed(frames, position, ParseStop.NEED_MORE)


def candidates(data: bytes) -> list[int]:
    """Offsets at which a frame may begin, by its header alone; the caller checks each one's CRC."""
    return [match.start() for match in _CANDIDATE.finditer(data)]


def request_id(body: bytes) -> bytes:
    """The id at the front of an encoded record, without decoding the rest. Raises ``msgspec.MsgspecError``."""
    if body[3:5] == _ID_PREFIX and body[0] == 0xDC:
        return body[5:37]
    return decode_record(body).request_id.encode()


def stub(record: RequestRecord) -> bytes:
    """The least that names a request whose record is lost: id, timestamp, method, endpoint, as MessagePack.

    It decodes as a RequestRecord, because a shorter array leaves the later fields at their defaults.
    """
    return encode((record.request_id, record.timestamp, record.method, record.endpoint))


def lost_payload(stubs: list[bytes]) -> bytes:
    """The payload of one LOST frame."""
    return b"\x03" + encode([msgspec.Raw(each) for each in stubs])


def storable(record: RequestRecord) -> RequestRecord:
    """A copy that MessagePack and every database can hold.

    Halves of surrogate pairs become question marks; integers beyond 64 bits and numbers that are not finite are
    nonsense, hence unknown. Only records that could not be encoded take this way.
    """
    copy = msgspec.structs.replace(record)
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, str):
            setattr(copy, name, value.encode(errors="replace").decode())
        elif (isinstance(value, int) and not -(2**63) <= value < 2**63) or (
            isinstance(value, float) and not isfinite(value)
        ):
            setattr(copy, name, None)
    return copy
