"""When tokens came in a session: from the message that asked for them, without the pauses between responses."""

from llm_metrics_proxy.proxy.session_times import SessionTimes
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, SAW_TOKEN, SAW_VISIBLE

MS = 1_000_000


def described(*events: tuple[int, int | None]) -> tuple[float | None, ...]:
    """Of events at those milliseconds: bits that the server showed, or None where the client said something."""
    times = SessionTimes()
    for at, bits in events:
        if bits is None:
            times.asked(at * MS)
        else:
            times.saw(bits, at * MS)
    record = RequestRecord(request_id="r", timestamp="t", method="GET", endpoint="/v1/responses")
    times.describe(record)
    return (
        record.time_to_first_token_ms, record.time_to_first_output_ms, record.time_to_last_token_ms,
        record.inter_chunk_max_ms,
    )  # fmt: skip


def test_nothing_came() -> None:
    assert described() == described((5, None), (9, SAW_TERMINAL)) == (None, None, None, None)


def test_one_response_is_counted_from_the_message_that_asked_for_it() -> None:
    asked = (1000, None)
    assert described(asked, (1040, SAW_TOKEN)) == (40, None, 40, None)
    assert described(asked, (1040, SAW_TOKEN), (1050, SAW_VISIBLE), (1080, SAW_VISIBLE), (1081, SAW_TERMINAL)) == (
        40, 50, 80, 30,
    )  # fmt: skip


def test_another_response_follows_the_one_before_without_the_pause() -> None:
    first = [(1000, None), (1040, SAW_VISIBLE), (1060, SAW_VISIBLE), (1061, SAW_TERMINAL)]
    second = [(9000, None), (9500, SAW_VISIBLE), (9510, SAW_VISIBLE | SAW_TERMINAL)]
    assert described(*first, *second) == (40, 40, 70, 20)


def test_a_response_that_prepares_has_no_first_token() -> None:
    warm = [(1000, None), (1300, SAW_TERMINAL)]
    assert described(*warm, (2000, None), (2050, SAW_VISIBLE))[0] == 50


def test_one_that_failed_ends_too_and_what_comes_unasked_has_no_delay() -> None:
    assert described((10, SAW_VISIBLE), (20, SAW_ERROR), (900, None), (950, SAW_VISIBLE)) == (0, 0, 0, 0)
