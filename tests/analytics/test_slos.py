import pytest

from llm_metrics_proxy.analytics.slos import Slo, parse_slo
from llm_metrics_proxy.errors import QueryError


@pytest.mark.parametrize(
    ("text", "slo"),
    [
        ("time_to_first_token_ms<500", Slo("time_to_first_token_ms", "<", 500.0)),
        (" response_time_ms <= 1500.5 ", Slo("response_time_ms", "<=", 1500.5)),
        ("tokens_per_second>=20", Slo("tokens_per_second", ">=", 20.0)),
        ("tokens_per_second>0", Slo("tokens_per_second", ">", 0.0)),
    ],
)
def test_an_slo_is_a_column_a_comparison_and_a_limit(text: str, slo: Slo) -> None:
    assert parse_slo(text) == slo
    assert parse_slo(str(slo)) == slo


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not an SLO"),
        ("response_time_ms", "is not an SLO: give one such as time_to_first_token_ms<500"),
        ("response_time_ms=5", "is not an SLO"),
        ("response_time_ms<nan", "is not an SLO"),
        ("response_time_ms<1e9", "is not an SLO"),
        ("response_time_ms<1);DROP TABLE completion_requests;--", "is not an SLO"),
        ("respons_time_ms<5", "there is no timing or rate 'respons_time_ms'; did you mean response_time_ms"),
        ("model<5", "there is no timing or rate 'model'"),
    ],
)
def test_nonsense_is_refused(text: str, message: str) -> None:
    with pytest.raises(QueryError) as error:
        parse_slo(text)
    assert error.value.parameter == "slo"
    assert message in str(error.value)


def test_an_slo_of_another_shape_cannot_be_made() -> None:
    for comparison, limit in (("==", 1.0), ("<", float("inf")), ("<", float("nan"))):
        with pytest.raises(QueryError):
            Slo("response_time_ms", comparison, limit)
