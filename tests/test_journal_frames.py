"""Frames: what is written is what is read, and nothing else passes for a frame."""

import random
import struct
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.journal import frames
from llm_metrics_proxy.record import RequestRecord
from tests.journal_parts import a_record, an_ended_record

NAME = frames.segment_name("c0ffee", 7)


def payload(kind: int, record: RequestRecord) -> bytes:
    return bytes((kind,)) + frames.encode(record)


def test_a_segment_is_named_by_worker_and_number() -> None:
    match = frames.NAME.fullmatch(NAME)
    assert match is not None
    assert (match["worker_id"], int(match["segment"])) == ("c0ffee", 7)
    assert frames.NAME.fullmatch(f"{NAME}.damaged") is None


def test_frames_come_back_in_order_with_their_kinds() -> None:
    records = [a_record(index) for index in range(5)]
    data = b"".join(frames.frame(payload(1 + index % 2, record), NAME) for index, record in enumerate(records))
    parsed = frames.parse_frames(data, NAME)
    assert [(kind, frames.decode_record(body)) for kind, body in parsed.frames] == [
        (1 + index % 2, record) for index, record in enumerate(records)
    ]
    assert (parsed.end, parsed.stop) == (len(data), frames.ParseStop.NEED_MORE)


def test_a_frame_is_length_crc_and_payload() -> None:
    body = payload(frames.CLOSED, a_record(1))
    length, crc = struct.unpack("<II", frames.frame(body, NAME)[:8])
    assert length == len(body)
    assert crc == zlib.crc32(NAME.encode() + body)


def test_every_cut_gives_the_whole_frames_and_asks_for_more() -> None:
    parts = [frames.frame(payload(frames.CLOSED, a_record(index)), NAME) for index in range(3)]
    data = b"".join(parts)
    ends = [sum(map(len, parts[:count])) for count in range(4)]
    for cut in range(len(data)):
        parsed = frames.parse_frames(data[:cut], NAME)
        whole = sum(end <= cut for end in ends[1:])
        assert (len(parsed.frames), parsed.end, parsed.stop) == (whole, ends[whole], frames.ParseStop.NEED_MORE)


def test_no_flipped_bit_passes_for_the_record() -> None:
    data = frames.frame(payload(frames.CLOSED, a_record(1)), NAME)
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            assert frames.parse_frames(bytes(flipped), NAME).frames == []


def test_zeros_are_no_frame() -> None:
    assert frames.parse_frames(bytes(64), NAME) == ([], 0, frames.ParseStop.BAD)


def test_a_frame_of_another_segment_is_no_frame_here() -> None:
    data = frames.frame(payload(frames.CLOSED, a_record(1)), frames.segment_name("c0ffee", 6))
    assert frames.parse_frames(data, NAME).stop is frames.ParseStop.BAD


def test_a_frame_that_a_client_hides_in_a_model_name_is_never_believed() -> None:
    inner = payload(frames.CLOSED, a_record(666))
    forged = struct.pack("<II", len(inner), zlib.crc32(inner)) + inner
    assert 0 in frames.candidates(forged)
    assert frames.parse_frames(forged, NAME).frames == []


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_without_complaint(data: bytes) -> None:
    parsed = frames.parse_frames(data, NAME)
    assert parsed.frames == []
    assert parsed.end == 0


@given(st.integers(0, 2**32), st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8))
def test_garbage_behind_sound_frames_never_takes_them_away(seed: int, bodies: list[bytes]) -> None:
    data = b"".join(frames.frame(body, NAME) for body in bodies)
    parsed = frames.parse_frames(data + random.Random(seed).randbytes(30), NAME)
    assert [bytes((kind,)) + body for kind, body in parsed.frames] == bodies


@pytest.mark.parametrize("length", [1, 31, 32, 33, 200, 70_000])
def test_the_request_id_is_read_without_decoding_the_rest(length: int) -> None:
    record = a_record(1)
    record.request_id = "f" * length
    assert frames.request_id(frames.encode(record)) == b"f" * length


def test_a_request_id_that_is_not_there_is_an_error() -> None:
    with pytest.raises(msgspec.MsgspecError):
        frames.request_id(b"\x93\x01\x02\x03")


def test_lost_requests_come_back_as_records_with_what_is_known() -> None:
    stubs = [frames.stub(an_ended_record(index)) for index in range(3)]
    body = frames.lost_payload(stubs)
    assert body[0] == frames.LOST
    assert frames.decode_lost(body[1:]) == [a_record(index) for index in range(3)]


def test_the_longest_lost_frame_is_within_the_bound() -> None:
    record = a_record(1)
    record.endpoint = "\U0001f600" * 256
    assert len(frames.lost_payload([frames.stub(record)] * 128)) < frames.MAX_PAYLOAD_BYTES


def test_an_older_frame_that_lacks_later_fields_still_decodes() -> None:
    older = frames.encode(msgspec.structs.astuple(a_record(3, model="m"))[:8])
    assert frames.decode_record(older) == a_record(3, model="m")


def test_a_newer_frame_with_more_fields_still_decodes() -> None:
    newer = frames.encode([*msgspec.structs.astuple(a_record(3)), "a fact of the future"])
    assert frames.decode_record(newer) == a_record(3)


def test_what_no_database_can_hold_becomes_storable() -> None:
    record = a_record(1, model="half \ud83d pair", max_tokens=10**30, temperature=float("inf"), top_p=float("nan"))
    stored = frames.storable(record)
    assert (stored.model, stored.max_tokens, stored.temperature, stored.top_p) == ("half ? pair", None, None, None)
    assert frames.decode_record(frames.encode(stored)) == stored
    assert record.max_tokens == 10**30  # the exchange's own record is left alone
