"""Readings become minutes, minutes add up, and what is stored says the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.servers.folding import over_time, totals
from llm_metrics_proxy.servers.minutes import Minutes
from llm_metrics_proxy.storage.sampled import SERVER, Gauge, ServerSample, decoded, encoded, merged

_READINGS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 9), st.floats(0, 1), st.booleans()), min_size=1, max_size=40
)


def _stored(sample: ServerSample) -> ServerSample:
    return decoded((*sample[:6], encoded(sample)))


@given(_READINGS)
def test_minutes_add_up_to_what_was_read(readings: list[tuple[int, int, float, bool]]) -> None:
    minutes, now, found = Minutes(SERVER, "box"), 1_000_000.0, []
    for pause, waiting, kv, answered in readings:
        now += pause
        gauges = {"waiting": float(waiting), "kv_cache_ratio": kv} if answered else {}
        found.append(minutes.add(now, gauges, answered=answered))
    found.append(minutes.finish())
    samples = [one for one in found if one is not None]
    assert len({one.at for one in samples}) == len(samples)
    one = merged(map(_stored, samples), 0, 0)
    known = [(waiting, kv) for _, waiting, kv, answered in readings if answered]
    assert (one.asked, one.answered) == (len(readings), len(known))
    if known:
        waits = [waiting for waiting, _ in known]
        assert one.gauges["waiting"] == Gauge(
            len(waits), min(waits), sum(waits), max(waits), sum(waiting > 0 for waiting in waits)
        )
        assert one.gauges["kv_cache_ratio"].high == sum(kv > 0.9 for _, kv in known)
        assert one.gauges["kv_cache_ratio"].sum == pytest.approx(sum(kv for _, kv in known), rel=1e-4, abs=1e-4)


def test_counters_are_what_they_grew_by_and_a_restart_says_nothing() -> None:
    minutes = Minutes(SERVER, "box")
    for second, tokens in ((0, 100), (5, 150), (10, 10), (15, 40), (20, 40)):
        minutes.add(1_000_020.0 + second, {}, {"generation_tokens": float(tokens)}, answered=True)
    sample = minutes.finish()
    assert sample is not None
    assert sample.sums == {"generation_tokens": 80, "counted_s": 15}
    assert totals([sample])["generation_tokens_per_second"] == pytest.approx(80 / 15)


def test_the_share_of_time_that_requests_waited_follows_from_any_minutes() -> None:
    quiet = ServerSample(60, 0, SERVER, "box", 12, 12, {"waiting": Gauge(12, 0, 0, 0, 0)}, {})
    busy = ServerSample(60, 60, SERVER, "box", 12, 6, {"waiting": Gauge(6, 0, 9, 4, 3)}, {})
    found = totals([quiet, busy])
    assert found["waiting_high_share"] == pytest.approx(3 / 18)
    assert found["waiting_mean"] == pytest.approx(9 / 18)
    assert (found["waiting_max"], found["answered_ratio"]) == (4, 0.75)
    assert over_time([quiet, busy], [0, 60, 120], SERVER)["waiting_max"] == [0, 4, None]


def test_shares_of_the_prefix_cache_are_of_tokens_not_of_moments() -> None:
    sample = ServerSample(60, 0, SERVER, "box", 2, 2, {}, {"prefix_queries": 1000.0, "prefix_hits": 250.0})
    assert totals([sample])["prefix_cache_ratio"] == 0.25


@pytest.mark.parametrize("said", ["", "[]", "{", '{"g":{"waiting":[1]}}', '{"g":3}'])
def test_what_cannot_be_read_says_nothing(said: str) -> None:
    sample = decoded((60, 0, SERVER, "box", 1, 1, said))
    assert (sample.gauges, sample.sums, sample.models) == ({}, {}, ())
