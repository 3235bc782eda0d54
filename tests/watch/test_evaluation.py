"""Rules measured over real records."""

from datetime import timedelta

import pytest

from llm_metrics_proxy.analytics.good_hours import GoodHours
from llm_metrics_proxy.watch.evaluation import measure_alert, measure_slo, unmeasured
from llm_metrics_proxy.watch.rules import About, AlertRule, SloRule
from tests.watch.conftest import BEGAN, Site
from tests.watch.test_rules import a_rule

ANSWERED = SloRule(name="answered", objective=0.9, window_s=86_400)


def test_an_objective_counts_what_completed_and_what_is_left_of_its_budget(site: Site) -> None:
    for second in range(20):
        site.add(second, good=second != 3)
    report = measure_slo(site.sources, GoodHours(site.records), ANSWERED, BEGAN + timedelta(hours=2))
    assert (report.requests, report.good_ratio, report.met) == (20, 0.95, True)
    assert report.error_budget_left == pytest.approx(0.5)
    assert report.burn_rate_1h is None  # nothing in the last hour
    assert report.measured_at == "2026-03-01T14:00:00Z"


def test_the_burn_rate_is_that_of_the_last_hour(site: Site) -> None:
    for second in range(10):
        site.add(second)
        site.add(7200 + second, good=second >= 2)
    report = measure_slo(site.sources, GoodHours(site.records), ANSWERED, BEGAN + timedelta(hours=2, minutes=1))
    assert (report.good_ratio, report.met) == (0.9, True)
    assert report.burn_rate_1h == pytest.approx(2.0)


def test_a_limit_is_met_by_what_completed_and_has_a_value_within_it(site: Site) -> None:
    for second, ttft in enumerate((100.0, 499.0, 500.0, None)):
        site.add(second, is_streaming=True, time_to_first_token_ms=ttft)
    site.add(5, good=False, is_streaming=True, time_to_first_token_ms=1.0)
    rule = SloRule(
        name="fast", require="time_to_first_token_ms<500", objective=0.5, window_s=3600, about=About(streaming=True)
    )
    report = measure_slo(site.sources, GoodHours(site.records), rule, BEGAN + timedelta(minutes=1))
    assert (report.requests, report.good_ratio, report.met) == (5, 0.4, False)
    assert report.error_budget_left == pytest.approx(-0.2)


def test_an_objective_without_a_record_is_neither_met_nor_missed(site: Site) -> None:
    report = measure_slo(site.sources, GoodHours(site.records), ANSWERED, BEGAN)
    assert (report.requests, report.good_ratio, report.met, report.error_budget_left) == (0, None, None, None)
    assert unmeasured(ANSWERED).measured_at is None


def test_an_alert_measures_its_window_and_its_requests_only(site: Site) -> None:
    site.add(0, good=False, model="a")
    site.add(100, good=False, model="a")
    site.add(101, model="a")
    site.add(102, good=False, model="b")
    rule = a_rule(window_s=60, about=About(model="a"))
    assert measure_alert(site.sources, GoodHours(site.records), rule, BEGAN + timedelta(seconds=110)) == (0.5, 2)
    assert measure_alert(site.sources, GoodHours(site.records), rule, BEGAN + timedelta(seconds=600)) == (None, 0)


@pytest.mark.parametrize(
    ("metric", "require", "value"),
    [("requests", None, 2), ("response_time_ms.p95", None, 1500.0), ("goodput", "response_time_ms<2000", 0.5)],
)
def test_any_metric_of_queries_can_be_watched(site: Site, metric: str, require: str | None, value: float) -> None:
    site.add(0)
    site.add(1, good=False)
    rule = a_rule(metric=metric, require=require)
    assert measure_alert(site.sources, GoodHours(site.records), rule, BEGAN + timedelta(seconds=10))[0] == value


def test_silence_is_a_number_of_requests_too(site: Site) -> None:
    rule = a_rule(metric="requests", op="<", threshold=1, min_requests=0)
    assert rule.holds(*measure_alert(site.sources, GoodHours(site.records), rule, BEGAN))


def test_a_fall_is_measured_against_the_window_before_and_needs_records_in_both(site: Site) -> None:
    for second in range(10):
        site.add(second, prompt_tokens=1000, cached_tokens=800)
    for second in range(4):
        site.add(60 + second, prompt_tokens=1000, cached_tokens=400)
    rule = a_rule(metric="cache_hit_ratio", op="<", threshold=-0.3, window_s=60, against="previous", min_requests=4)
    change, n = measure_alert(site.sources, GoodHours(site.records), rule, BEGAN + timedelta(seconds=119))
    assert change == pytest.approx(-0.5)
    assert n == 4
    assert rule.holds(change, n)
    assert not a_rule(**{**as_words(rule), "min_requests": 5}).holds(change, n)
    nothing, _ = measure_alert(site.sources, GoodHours(site.records), rule, BEGAN + timedelta(seconds=40))
    assert nothing is None  # there is no window before


def as_words(rule: AlertRule) -> dict[str, object]:
    return {name: getattr(rule, name) for name in rule.__struct_fields__}
