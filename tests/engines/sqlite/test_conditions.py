import pytest

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Only
from llm_metrics_proxy.engines.sqlite.conditions import Clause, where, within
from tests.analytics.database import NOON, Database, a_record, a_row


def test_no_condition_selects_everything_without_a_where() -> None:
    assert where(RequestFilter()) == ("", ())


def test_values_travel_as_parameters_only() -> None:
    clause = where(RequestFilter(model="x' OR 1=1 --", success=False, status_code=500, start=NOON))
    assert clause.sql == " WHERE timestamp >= ? AND model = ? AND success = ? AND status_code = ?"
    assert clause.parameters == ("2026-03-01T12:00:00.000000Z", "x' OR 1=1 --", 0, 500)


def test_false_is_a_condition_and_not_the_lack_of_one() -> None:
    assert where(RequestFilter(streaming=False)) == (" WHERE is_streaming = ?", (0,))


@pytest.mark.parametrize(
    ("only", "found"),
    [(None, [5, 4, 3, 2, 1]), (Only.ERRORS, [5, 4, 3, 2]), (Only.LIMITED, [5, 3])],
)
def test_only_some_of_them(database: Database, only: Only | None, found: list[int]) -> None:
    database.append(
        [
            a_row(a_record(0)),
            a_row(a_record(1), error_category="upstream"),
            a_row(a_record(2, error_type="rate_limit"), error_category="limit"),
            a_row(a_record(3, error_type="quota"), error_category="limit"),
            a_row(a_record(4, error_type="quota", retry_after_ms=5.0), error_category="limit"),
        ]
    )
    rows = database.records.page(RequestFilter(), ("arrival",), None, 9, only)
    assert [arrival for (arrival,) in rows] == found


def test_a_range_from_the_beginning_has_no_lower_end() -> None:
    upto = Arrivals.of_one_host(9)
    assert within(Clause(""), ArrivalRange(Arrivals(), upto)) == (" WHERE arrival <= ?", (9,))
    assert within(Clause(""), ArrivalRange(Arrivals.of_one_host(-3), upto)).parameters == (-3, 9)
