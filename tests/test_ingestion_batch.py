"""What a transaction will do with the frames it was given."""

import msgspec

from llm_metrics_proxy.ingestion.batch import Batch
from llm_metrics_proxy.journal import frames
from llm_metrics_proxy.record import Outcome, RequestRecord
from llm_metrics_proxy.storage.base import OpenRequest
from tests.journal_parts import WORKER, a_record, an_ended_record


def opened(index: int) -> frames.Frame:
    return frames.OPENED, frames.encode(a_record(index, model="asked"))


def closed(index: int) -> frames.Frame:
    return frames.CLOSED, frames.encode(an_ended_record(index))


def lost(*indexes: int) -> frames.Frame:
    return frames.LOST, frames.lost_payload([frames.stub(a_record(index)) for index in indexes])[1:]


def stored(index: int, worker_id: str = WORKER) -> tuple[bytes, OpenRequest]:
    request_id = a_record(index).request_id
    return request_id.encode(), OpenRequest(request_id, worker_id, b"\x01" + opened(index)[1])


def outcomes(batch: Batch) -> list[tuple[int, str]]:
    return [(int(record.request_id, 16), record.outcome) for record in batch.records]


def test_a_pair_leaves_a_record_and_nothing_open() -> None:
    batch = Batch({})
    batch.take(WORKER, [opened(1), closed(1)])
    assert batch.records == [an_ended_record(1)]
    assert (batch.opened(), batch.closed(), batch.size) == ([], [], 1)


def test_what_is_still_open_is_remembered_with_its_whole_frame() -> None:
    batch = Batch({})
    batch.take(WORKER, [opened(1), opened(2), closed(1)])
    assert batch.opened() == [stored(2)[1]]


def test_a_request_opened_in_an_earlier_batch_is_struck() -> None:
    open_requests = dict([stored(1), stored(2)])
    batch = Batch(open_requests)
    batch.take(WORKER, [closed(1)])
    assert batch.closed() == [a_record(1).request_id]
    assert list(open_requests) == [stored(2)[0]]


def test_a_closed_frame_whose_opened_one_was_dropped_is_a_record() -> None:
    batch = Batch({})
    batch.take(WORKER, [closed(1)])
    assert batch.records == [an_ended_record(1)]
    assert batch.closed() == []


def test_a_dead_workers_open_requests_have_crashed_and_no_others() -> None:
    batch = Batch(dict([stored(1), stored(2, "beef")]))
    batch.take(WORKER, [opened(3)])
    batch.take("beef", [opened(4)])
    batch.finish(WORKER)
    assert outcomes(batch) == [(1, Outcome.PROXY_CRASHED), (3, Outcome.PROXY_CRASHED)]
    assert {(record.error_type, record.success, record.model) for record in batch.records} == {
        ("crashed", False, "asked")
    }
    assert [request.request_id for request in batch.opened()] == [a_record(4).request_id]
    assert batch.closed() == [a_record(1).request_id]


def test_lost_records_keep_what_was_known_when_they_were_accepted() -> None:
    batch = Batch(dict([stored(1)]))
    batch.take(WORKER, [opened(2), lost(1, 2, 3)])
    assert outcomes(batch) == [(index, Outcome.RECORD_LOST) for index in (1, 2, 3)]
    assert [record.model for record in batch.records] == ["asked", "asked", None]
    assert {record.error_type for record in batch.records} == {"record_lost"}
    assert (batch.opened(), batch.closed()) == ([], [a_record(1).request_id])


def test_unknown_kinds_are_counted_and_passed_over() -> None:
    batch = Batch({})
    batch.take(WORKER, [(99, b"from the future"), closed(1)])
    assert (batch.unknown_frames, len(batch.records)) == (1, 1)


def test_a_body_that_cannot_be_decoded_is_set_aside_and_stops_nothing() -> None:
    bad = frames.encode(["x" * 32, 1, 2, 3])
    batch = Batch({})
    batch.take(WORKER, [(frames.CLOSED, bad), (frames.OPENED, b"\xc1"), (frames.LOST, b"\xc1"), closed(1)])
    assert [body for _, body in batch.undecodable] == [bad, b"\xc1", b"\xc1"]
    assert batch.records == [an_ended_record(1)]


def test_an_opened_frame_that_only_looks_right_is_set_aside_when_it_crashes() -> None:
    request_id = "f" * 32
    body = b"\xdc\x00\x04" + b"".join(map(frames.encode, (request_id, 1, 2, 3)))
    batch = Batch({})
    batch.take(WORKER, [(frames.OPENED, body)])
    batch.finish(WORKER)
    assert [each for _, each in batch.undecodable] == [body]
    assert (batch.records, batch.opened()) == ([], [])


def test_the_fast_way_to_the_id_agrees_with_decoding() -> None:
    body = closed(5)[1]
    assert frames.request_id(body).decode() == msgspec.msgpack.decode(body, type=RequestRecord).request_id
