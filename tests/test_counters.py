import math
import random
import threading
from typing import Any, Literal, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.counters import (
    BOUNDS_MS,
    OTHER,
    CounterBook,
    DurationHistogram,
    Series,
    SeriesKey,
    outcomes_with_zeros,
)
from llm_metrics_proxy.errors import NewerDatabaseError, StoreError
from llm_metrics_proxy.record import Outcome
from llm_metrics_proxy.wire.error_types import OUTCOMES
from tests.analytics.database import a_record
from tests.counted import snapshot
from tests.counting import count
from tests.examples import examples

KEY = SeriesKey("llama3.1:8b", "127.0.0.1:8000", "/v1/chat/completions", True)


def only_series(book: CounterBook) -> Series:
    ((key, series),) = snapshot(book)
    assert key == KEY
    return series


def models(book: CounterBook) -> set[str]:
    return {key.model for key, _ in snapshot(book)}


def test_a_completed_stream_is_counted_in_every_family() -> None:
    book = CounterBook()
    count(book, a_record())
    series = only_series(book)
    assert series.outcomes == {"completed": 1}
    assert series.finish_reasons == {"stop": 1}
    assert series.errors == {}
    assert (series.prompt_tokens, series.generation_tokens) == (10, 101)
    sums = {name: histogram.sum_ms for name, histogram in series.histograms.items()}
    assert sums == {
        "time_to_first_token_seconds": 120.0,
        "time_per_output_token_seconds": 10.0,  # (1120 - 120) / (101 - 1)
        "e2e_request_latency_seconds": 1125.0,
        "proxy_overhead_seconds": 0.4,
    }
    assert all(sum(histogram.buckets) == 1 for histogram in series.histograms.values())


@pytest.mark.parametrize("name", BOUNDS_MS)
def test_bounds_rise_and_a_value_on_a_bound_belongs_to_it(name: str) -> None:
    bounds = BOUNDS_MS[name]
    assert list(bounds) == sorted(set(bounds))
    fields = {
        "time_to_first_token_seconds": lambda ms: {"time_to_first_token_ms": ms},
        "time_per_output_token_seconds": lambda ms: {
            "time_to_first_token_ms": 0.0,
            "time_to_last_token_ms": ms,
            "completion_tokens": 2,
        },
        "e2e_request_latency_seconds": lambda ms: {"response_time_ms": ms},
        "proxy_overhead_seconds": lambda ms: {"proxy_overhead_ms": ms},
    }
    for index, bound in enumerate(bounds):
        book = CounterBook()
        count(book, a_record(**fields[name](float(bound))))
        count(book, a_record(**fields[name](math.nextafter(bound, math.inf))))
        buckets = only_series(book).histograms[name].buckets
        assert buckets[index] == 1
        assert buckets[index + 1] == 1


def test_missing_values_are_left_out_and_not_counted_as_zero() -> None:
    book = CounterBook()
    count(
        book,
        a_record(
            prompt_tokens=None,
            completion_tokens=None,
            time_to_first_token_ms=None,
            time_to_last_token_ms=None,
            response_time_ms=None,
            proxy_overhead_ms=None,
        ),
    )
    series = only_series(book)
    assert series.prompt_tokens == series.generation_tokens == 0
    assert all(sum(histogram.buckets) == 0 for histogram in series.histograms.values())


@pytest.mark.parametrize("nonsense", [-1.0, math.inf, -math.inf, math.nan])
def test_nonsense_durations_never_reach_a_sum(nonsense: float) -> None:
    book = CounterBook()
    count(book, a_record(response_time_ms=nonsense, time_to_last_token_ms=nonsense, prompt_tokens=-5))
    series = only_series(book)
    assert sum(series.histograms["e2e_request_latency_seconds"].buckets) == 0
    assert series.histograms["time_per_output_token_seconds"].sum_ms == 0
    assert series.prompt_tokens == 0


def test_times_of_tokens_are_those_of_streams_and_no_time_for_tokens_that_came_at_once() -> None:
    book = CounterBook()
    count(book, a_record(is_streaming=False, content_chunks=None))
    count(book, a_record(time_to_last_token_ms=120.0))
    count(book, a_record(time_to_last_token_ms=119.0))
    histograms = dict.fromkeys(BOUNDS_MS, 0)
    for _key, series in snapshot(book):
        for name, histogram in series.histograms.items():
            histograms[name] += sum(histogram.buckets)
    assert histograms["time_to_first_token_seconds"] == 2
    assert histograms["time_per_output_token_seconds"] == 0
    assert histograms["e2e_request_latency_seconds"] == 3


def test_errors_are_counted_by_category_and_type_and_have_no_finish_reason() -> None:
    book = CounterBook()
    failed: Any = {"success": False, "finish_reason": None, "outcome": "upstream_error"}
    count(book, a_record(error_type="rate_limit", **failed), error_category="limit")
    count(book, a_record(error_type="rate_limit", **failed), error_category="limit")
    failed["outcome"] = Outcome.CLIENT_DISCONNECTED
    count(book, a_record(error_type="disconnect_mid_stream", **failed), error_category="client")
    series = only_series(book)
    assert series.classified == {"limit": {"rate_limit": 2}, "client": {"disconnect_mid_stream": 1}}
    assert (series.finish_reasons, series.errors) == ({}, {})
    zeros = outcomes_with_zeros(series)
    assert set(zeros) == set(OUTCOMES)
    assert (zeros["upstream_error"], zeros["completed"]) == (2, 0)


def test_an_answer_that_is_complete_but_flagged_is_an_error_and_has_its_finish_reason() -> None:
    book = CounterBook()
    count(book, a_record(error_type="refusal"), error_category="policy")
    series = only_series(book)
    assert (series.classified, series.finish_reasons) == ({"policy": {"refusal": 1}}, {"stop": 1})


@pytest.mark.parametrize("word", [None, "unknown", "whatever a server says"])
def test_a_failure_that_nothing_could_be_made_of_is_unknown_whatever_its_word(word: str | None) -> None:
    book = CounterBook()
    count(book, a_record(success=False, outcome="upstream_error", error_type=word))
    assert only_series(book).classified == {"unknown": {"unknown": 1}}


def test_what_2_x_counted_is_kept_beside_what_is_counted_now_and_2_x_can_read_both() -> None:
    book = CounterBook()
    ((key, state),) = count(book, a_record())
    values = msgspec.msgpack.decode(state)
    values[2] = {"rejected": {"forbidden": 3}, "upstream_error": {"quota": 2, "": 1}}
    book.load([(key, msgspec.msgpack.encode(values[:7]))])  # 2.x stored seven fields
    ((_, again),) = count(book, a_record(success=False, error_type="forbidden"), error_category="auth")
    series = only_series(book)
    assert series.errors == values[2]
    assert series.classified == {"auth": {"forbidden": 1}}
    assert series.outcomes == {"completed": 2}
    assert msgspec.msgpack.decode(again)[:3] == [1, {"completed": 2}, values[2]]


def test_models_beyond_the_limit_are_other_and_stay_so_after_a_restart() -> None:
    book = CounterBook(model_limit=3)
    stored = count(book, *(a_record(model=f"m{number}") for number in range(10)))
    assert models(book) == {"m0", "m1", "m2", OTHER}
    restarted = CounterBook(model_limit=3)
    restarted.load(stored)
    count(restarted, a_record(model="m9"))
    count(restarted, a_record(model="m1", is_streaming=False))
    assert models(restarted) == {"m0", "m1", "m2", OTHER}
    counts = {(key.model, key.streaming): sum(series.outcomes.values()) for key, series in snapshot(restarted)}
    assert counts[OTHER, True] == 8
    assert counts["m1", False] == 1


def test_a_client_that_tries_names_cannot_push_real_models_into_other() -> None:
    book = CounterBook(model_limit=2)
    for number in range(50):
        count(book, a_record(model=f"guess{number}", success=False, outcome="upstream_error", status_code=404))
    count(book, a_record(model="real"))
    assert models(book) == {"real", OTHER}


def test_paths_that_no_dialect_reads_share_one_series() -> None:
    book = CounterBook()
    for number in range(50):
        count(book, a_record(endpoint=f"/v1/files/{number}", dialect=None, model=None))
    ((key, series),) = snapshot(book)
    assert key == ("", "127.0.0.1:8000", OTHER, True)
    assert series.outcomes == {"completed": 50}


def test_endpoints_and_finish_reasons_are_bounded_too() -> None:
    book = CounterBook(label_limit=2)
    for number in range(9):
        count(book, a_record(endpoint=f"/{number}/v1/chat/completions"))
        count(book, a_record(finish_reason=f"r{number}"))
    endpoints = {key.endpoint for key, _ in snapshot(book)}
    reasons = {name for _, series in snapshot(book) for name in series.finish_reasons}
    assert len(endpoints) == 3
    assert OTHER in endpoints
    assert reasons == {"stop", "r0", OTHER}


def test_only_series_that_changed_are_stored_again() -> None:
    book = CounterBook()
    assert len(count(book, a_record(model="a"), a_record(model="b"))) == 2
    assert count(book) == []
    ((key, _),) = count(book, a_record(model="b"))
    assert msgspec.json.decode(key)[0] == "b"


@examples(30)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.floats(0, 1e7)), max_size=30), st.integers(0, 30))
def test_stored_and_loaded_in_two_runs_equals_counted_in_one(
    facts: list[tuple[str, bool, float]], restart_after: int
) -> None:
    records = [a_record(model=model, success=ok, response_time_ms=ms) for model, ok, ms in facts]
    whole = CounterBook(model_limit=3)
    first, second = CounterBook(model_limit=3), CounterBook(model_limit=3)
    count(whole, *records)
    second.load(count(first, *records[:restart_after]))
    count(second, *records[restart_after:])
    assert snapshot(second) == snapshot(whole)


def test_only_what_is_stored_is_shown() -> None:
    book = CounterBook()
    book.observe(a_record())
    assert snapshot(book) == []
    book.take_changes()
    assert snapshot(book) == []  # the transaction is under way
    book.confirm()
    assert only_series(book).outcomes == {"completed": 1}


def test_what_is_observed_while_a_transaction_is_under_way_waits_for_the_next_one() -> None:
    book = CounterBook()
    book.observe(a_record())
    ((_, stored),) = book.take_changes()
    book.observe(a_record())
    book.observe(a_record(model="new"))
    book.confirm()
    assert msgspec.msgpack.decode(stored, type=Series) == only_series(book)
    assert only_series(book).outcomes == {"completed": 1}
    count(book)
    assert dict(snapshot(book))[KEY].outcomes == {"completed": 2}
    assert models(book) == {KEY.model, "new"}


def test_after_a_failed_transaction_what_was_shown_stays_and_nothing_counts_twice() -> None:
    book = CounterBook()
    stored = count(book, a_record())
    before = snapshot(book)
    late = [a_record(response_time_ms=50.0), a_record(response_time_ms=None, model="new")]
    for record in late:
        book.observe(record)
    book.take_changes()  # ... and the transaction fails
    assert snapshot(book) == before
    book.load(stored)
    assert snapshot(book) == before
    book.confirm()  # says nothing about a transaction before the load
    assert snapshot(book) == before
    count(book, *late)
    assert dict(snapshot(book))[KEY].outcomes == {"completed": 2}
    assert sum(sum(series.outcomes.values()) for _, series in snapshot(book)) == 3


def test_a_record_that_is_refused_for_good_leaves_no_trace() -> None:
    book = CounterBook(model_limit=1)
    book.observe(a_record(model="refused"))
    book.take_changes()
    book.load([])
    count(book, a_record(model="kept"))  # nor does it keep its place among the names
    assert models(book) == {"kept"}


Fate = Literal["committed", "failed", "killed before the commit", "killed after the commit"]


@examples(60)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 1e7)), max_size=4),
            st.sampled_from(get_args(Fate)),
        ),
        max_size=15,
    )
)
def test_no_series_ever_goes_down_or_vanishes_and_each_record_counts_once(
    transactions: list[tuple[list[tuple[str, bool, float]], Fate]],
) -> None:
    database: dict[str, bytes] = {}
    book = CounterBook(model_limit=2)
    seen: dict[SeriesKey, Series] = {}
    committed = 0

    def look() -> None:
        shown = dict(snapshot(book))
        for key, before in seen.items():
            assert not_below(shown[key], before)
        seen.update(shown)

    for facts, fate in transactions:
        for model, success, milliseconds in facts:
            book.observe(a_record(model=model, success=success, response_time_ms=milliseconds))
            look()
        changes = book.take_changes()
        look()
        if fate in ("committed", "killed after the commit"):
            database.update(changes)
            committed += len(facts)
        if fate == "committed":
            book.confirm()
        else:
            if fate != "failed":
                book = CounterBook(model_limit=2)
            book.load(database.items())
        look()
        assert sum(sum(series.outcomes.values()) for _, series in snapshot(book)) == committed


def not_below(now: Any, before: Any) -> bool:
    """Whether every number in ``now`` is at least its counterpart in ``before``, and none is missing."""
    if isinstance(before, Series | DurationHistogram):
        return not_below(msgspec.structs.asdict(now), msgspec.structs.asdict(before))
    if isinstance(before, dict):
        return all(name in now and not_below(now[name], value) for name, value in before.items())
    if isinstance(before, list):
        return all(not_below(*pair) for pair in zip(now, before, strict=True))
    return bool(now >= before)


def test_a_histogram_of_a_later_release_is_kept_through_this_one() -> None:
    book = CounterBook()
    ((key, state),) = count(book, a_record())
    values = msgspec.msgpack.decode(state)
    values[6]["inter_token_latency_seconds"] = [[1, 2, 3], 4.5]
    book.load([(key, msgspec.msgpack.encode([*values, "a field of a later release"]))])
    ((_, again),) = count(book, a_record())
    assert msgspec.msgpack.decode(again)[6]["inter_token_latency_seconds"] == [[1, 2, 3], 4.5]


def test_a_histogram_that_an_older_state_lacks_starts_empty() -> None:
    book = CounterBook()
    ((key, state),) = count(book, a_record())
    values = msgspec.msgpack.decode(state)
    del values[6]["proxy_overhead_seconds"]
    book.load([(key, msgspec.msgpack.encode(values))])
    assert sum(dict(snapshot(book))[KEY].histograms["proxy_overhead_seconds"].buckets) == 0
    count(book, a_record())
    assert sum(dict(snapshot(book))[KEY].histograms["proxy_overhead_seconds"].buckets) == 1


def test_states_that_cannot_be_understood_are_refused_in_words() -> None:
    book = CounterBook()
    ((key, state),) = count(book, a_record())
    with pytest.raises(StoreError, match="cannot be read"):
        book.load([(key, state[:-3])])
    with pytest.raises(StoreError, match="cannot be read"):
        book.load([("not json", state)])
    with pytest.raises(NewerDatabaseError, match="newer program"):
        book.load([(key, msgspec.msgpack.encode([2, *msgspec.msgpack.decode(state)[1:]]))])
    values = msgspec.msgpack.decode(state)
    values[6]["proxy_overhead_seconds"][0].pop()
    with pytest.raises(StoreError, match="wrong length"):
        book.load([(key, msgspec.msgpack.encode(values))])
    assert only_series(book).outcomes == {"completed": 1}  # a refused load leaves the book as it was


def test_a_snapshot_is_of_one_commit_while_another_thread_counts() -> None:
    book = CounterBook()
    done = threading.Event()
    source = random.Random(7)
    batch = [a_record(model=model, response_time_ms=source.uniform(0, 1e5)) for model in "ab" for _ in range(20)]

    def ingest() -> None:
        for _ in range(150):
            count(book, *batch)
        done.set()

    thread = threading.Thread(target=ingest)
    thread.start()
    seen = 0
    while not done.is_set():
        shown = snapshot(book)
        totals = {series.outcomes["completed"] for _, series in shown} or {0}
        (total,) = totals  # both models' series are of the same commit
        assert total % 20 == 0
        assert total >= seen
        for _, series in shown:
            assert sum(series.histograms["e2e_request_latency_seconds"].buckets) == total
            assert series.generation_tokens == 101 * total
        seen = total
    thread.join()
    assert {series.outcomes["completed"] for _, series in snapshot(book)} == {3000}


def test_a_snapshot_belongs_to_the_caller() -> None:
    book = CounterBook()
    count(book, a_record())
    only_series(book).outcomes["completed"] = 99
    assert only_series(book).outcomes == {"completed": 1}
