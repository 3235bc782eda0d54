"""Messages of AWS's event streams, held against botocore's parser: the same of sound streams and of spoilt ones."""

import json
import random
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.aws_events import AwsEventReader, headers_of
from tests.wire.aws_messages import error, event, exception, header, message
from tests.wire.bedrock_streams import CONVERSE
from tests.wire.cuts import CALM, cut, three_ways

Message = tuple[bytes, bytes, bytes]  # payload, event type, failure


def read(pieces: list[bytes], bound: int = 1000) -> tuple[list[Message], AwsEventReader]:
    reader = AwsEventReader(max_held_bytes=bound)
    events = [each for piece in pieces for each in reader.feed(piece)] + reader.finish()
    return [(each.data, each.name, each.failure) for each in events], reader


def messages(stream: bytes, bound: int = 1000) -> tuple[list[Message], bool, bool]:
    found = [(told, reader.spoilt, reader.broken) for told, reader in (read(cut, bound) for cut in three_ways(stream))]
    assert all(other == found[0] for other in found)
    return found[0]


def oracle(stream: bytes) -> tuple[list[Message], bool]:
    """What botocore reads of a stream before it gives up, and whether it did; it does not say how an end is cut."""
    buffer, found = EventStreamBuffer(), []
    buffer.add_data(stream)
    try:
        for each in buffer:
            told: dict[str, Any] = each.headers
            kind = told.get(":message-type")
            if kind == "error":
                found.append((told[":error-message"].encode(), b"", told[":error-code"].encode()))
            elif kind == "exception":
                found.append((each.payload, b"", told[":exception-type"].encode()))
            else:
                found.append((each.payload, told[":event-type"].encode(), b""))
    except ParserError:
        return found, True
    return found, False


def test_events_exceptions_and_errors_are_told_apart() -> None:
    stream = (
        event("initial-response", {}) + event("delta", {"a": 1}) + exception("throttlingException", {"message": "x"})
    )
    assert messages(stream + error("InternalFailure", "Sorry"), 1000) == (
        [(b"{}", b"initial-response", b""), (b'{"a":1}', b"delta", b""),
         (b'{"message": "x"}', b"", b"throttlingException"), (b"Sorry", b"", b"InternalFailure")],
        False, False,
    )  # fmt: skip


VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=30), st.text(max_size=30)
)  # fmt: skip


@st.composite
def sound(draw: st.DrawFn) -> bytes:
    """Any message that has a type, with other headers of any kind around it."""
    names = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=2, max_size=20)
    more = [header(name, value) for name, value in draw(st.dictionaries(names, VALUES, max_size=4)).items()]
    fixed = [b"\x01a\x02\x7f", b"\x01b\x03\x7f\x00", b"\x01c\x04\x00\x00\x00\x07", b"\x01d\x08" + b"t" * 8,
             b"\x01e\x09" + b"u" * 16]  # fmt: skip
    more += draw(st.lists(st.sampled_from(fixed), unique=True))
    kind = draw(st.sampled_from(("event", "exception", "error")))
    told = {"event": {":event-type": "e"}, "exception": {":exception-type": "x"},
            "error": {":error-code": "c", ":error-message": "m"}}[kind]  # fmt: skip
    headers = [*more, header(":message-type", kind), *(header(name, value) for name, value in told.items())]
    return message(b"" if kind == "error" else draw(st.binary(max_size=200)), b"".join(draw(st.permutations(headers))))


@CALM
@given(st.lists(sound(), max_size=5), st.data())
def test_any_sound_stream_under_any_cut_is_read_as_botocore_reads_it(stream: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(stream)
    told, reader = read(data.draw(cut(whole)))
    assert (told, reader.broken) == oracle(whole)
    assert not reader.spoilt
    assert reader.at_boundary


@CALM
@given(st.integers(0, 2**32))
def test_a_spoilt_stream_is_read_up_to_where_botocore_gives_up_and_no_further(seed: int) -> None:
    dice = random.Random(seed)
    stream = bytearray(b"".join(CONVERSE))
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(stream))
        match dice.randint(0, 2):
            case 0:
                stream[at] ^= dice.randint(1, 255)
            case 1:
                del stream[at : at + dice.randint(1, 50)]
            case _:
                stream[at:at] = dice.randbytes(dice.randint(1, 50))
    (told, _, broken), (expected, gave_up) = messages(bytes(stream)), oracle(bytes(stream))
    assert told == expected
    assert broken == gave_up


@pytest.mark.parametrize("where", [0, 9, 12, 30, 60, -2])
def test_a_wrong_checksum_ends_it(where: int) -> None:
    """Nothing marks where the next message begins."""
    first, second = event("a", {"text": "x" * 40}), event("b", {})
    spoilt = bytearray(first)
    spoilt[where] ^= 1
    assert messages(event("c", {}) + bytes(spoilt) + second) == ([(b"{}", b"c", b"")], True, True)


@pytest.mark.parametrize(("whole", "headers"), [(15, 0), (0, 0), (16, 1), (20, 5), (2**31, 2**31), (2**20, 131_073)])
def test_lengths_that_cannot_be_are_refused_though_their_checksum_is_right(whole: int, headers: int) -> None:
    prelude = struct.pack("!II", whole, headers)
    assert messages(prelude + struct.pack("!I", zlib.crc32(prelude)) + b"x" * 100) == ([], True, True)


def test_a_message_over_the_bound_comes_out_small_and_its_checksum_counts() -> None:
    first, second = event("big", {"text": "x" * 9000}), event("big", {"text": "y" * 1200, "n": 7})
    told, *ends = messages(event("a", {}) + first + second + event("b", {}))
    assert [name for _, name, _ in told] == [b"a", b"big", b"big", b"b"]
    assert [len(json.loads(data).get("text", "")) for data, *_ in told] == [0, 8192, 1200, 0]
    assert ends == [False, False]
    spoilt = bytearray(second)
    spoilt[800] ^= 1
    assert messages(event("a", {}) + bytes(spoilt) + event("b", {})) == ([(b"{}", b"a", b"")], True, True)
    assert messages(first[:-1]) == ([], False, False)


def test_one_of_four_gigabytes_takes_no_memory() -> None:
    prelude = struct.pack("!II", 2**32 - 1, 0)
    reader = AwsEventReader()
    reader.feed(prelude + struct.pack("!I", zlib.crc32(prelude)))
    tracemalloc.start()
    for _ in range(100):
        assert reader.feed(b"x" * 100_000) == []
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 2_000_000  # of ten million, and of four billion
    assert (len(reader._held), reader.broken, reader.at_boundary) == (0, False, False)
    assert repr(reader) == "<AwsEventReader in a large message>"


@pytest.mark.parametrize(
    "block",
    [b"\x05", b"\x01a", b"\x01a\x0a", b"\x01a\x07\x00", b"\x01a\x07\x00\x05abc", b"\x01a\x09short", b"\xffa\x00"],
)
def test_headers_that_cannot_be_taken_apart_leave_their_message_out(block: bytes) -> None:
    assert headers_of(block) is None
    assert messages(message(b"{}", block) + event("a", {})) == ([(b"{}", b"a", b"")], True, False)


def test_what_the_end_cut_short_is_no_message() -> None:
    stream = event("a", {}) + event("b", {})
    assert messages(stream[:-1]) == ([(b"{}", b"a", b"")], False, False)


def test_its_state_is_shown() -> None:
    reader = AwsEventReader()
    reader.feed(b"\0" * 3)
    assert repr(reader) == "<AwsEventReader 3 bytes held>"
    reader.feed(b"x" * 20)
    assert repr(reader) == "<AwsEventReader broken>"
