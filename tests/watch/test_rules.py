"""Rules as values."""

import pytest

from llm_metrics_proxy.watch.rules import AlertRule, shown_webhook


def a_rule(**changes: object) -> AlertRule:
    values: dict[str, object] = {"name": "a", "metric": "error_rate", "op": ">", "threshold": 0.5, "window_s": 60}
    return AlertRule(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [
        (">", 0.6, True), (">", 0.5, False), (">=", 0.5, True), ("<", 0.4, True), ("<", 0.5, False), ("<=", 0.5, True),
        (">", None, False), ("<", None, False),
    ],
)  # fmt: skip
def test_something_is_wrong_while_the_value_compares_so(op: str, value: float | None, holds: bool) -> None:
    assert a_rule(op=op).holds(value, 10) is holds


def test_too_few_records_say_nothing() -> None:
    assert not a_rule(min_requests=11).holds(1.0, 10)
    assert a_rule(min_requests=10).holds(1.0, 10)
    assert a_rule(op="<", min_requests=0).holds(0.0, 0)


def test_of_an_address_only_the_host_is_shown() -> None:
    rule = a_rule(webhook="https://hooks.example:8443/services/T0/secret?key=1")
    assert shown_webhook(rule.webhook) == "https://hooks.example/…"
    assert shown_webhook(None) is None
