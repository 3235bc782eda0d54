from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.query import MAX_GROUP_BY, MAX_METRICS, MAX_ROWS, Query
from llm_metrics_proxy.analytics.slos import MAX_SLOS, Slo
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import NOON

SLO = Slo("response_time_ms", "<", 500.0)


@pytest.mark.parametrize(
    ("wrong", "parameter", "message"),
    [
        ({"metrics": ()}, "metrics", f"metrics takes 1 to {MAX_METRICS} names; there are 0"),
        ({"metrics": ("requests",) * 2}, "metrics", "requests is named twice in metrics; once is enough"),
        ({"metrics": ("reqests",)}, "metrics", "there is no metric 'reqests'; did you mean requests or "),
        (
            {"metrics": ("response_tme_ms.p95",)},
            "metrics",
            "there is no metric 'response_tme_ms'; did you mean response_",
        ),
        (
            {"metrics": ("response_time_ms",)},
            "metrics",
            "response_time_ms needs a statistic, such as response_time_ms.mean",
        ),
        ({"metrics": ("response_time_ms.p100",)}, "metrics", "percentiles run from p0.1 to p99.9"),
        ({"metrics": ("response_time_ms.p0",)}, "metrics", "percentiles run from p0.1 to p99.9"),
        ({"metrics": ("response_time_ms.median",)}, "metrics", "there is no statistic of response_time_ms 'median'"),
        ({"group_by": ("model",) * 2}, "group_by", "model is named twice in group_by; once is enough"),
        ({"group_by": ("a", "b", "c", "d", "e")}, "group_by", f"group_by takes 0 to {MAX_GROUP_BY} names; there are 5"),
        ({"group_by": ("orign",)}, "group_by", "there is no dimension 'orign'; did you mean origin?"),
        ({"group_by": ("tag:",)}, "group_by", "there is no dimension 'tag:'"),
        ({"group_by": ("tag:a=b",)}, "group_by", "there is no dimension 'tag:a=b'"),
        ({"group_by": ("bin:respons_time_ms",)}, "group_by", "did you mean response_time_ms"),
        ({"group_by": ("time",), "bucket": "hours"}, "bucket", "there is no bucket 'hours'; did you mean hour?"),
        ({"bucket": "hour"}, "bucket", "bucket divides the dimension time: add it to group_by"),
        ({"timezone": "Berlin"}, "timezone", "there is no time zone 'Berlin'; give an IANA name such as Europe/Berlin"),
        ({"timezone": "Europe/Berlln"}, "timezone", "did you mean Europe/Berlin"),
        ({"timezone": "../../etc/passwd"}, "timezone", "there is no time zone"),
        ({"timezone": "a" * 300}, "timezone", "there is no such time zone; give an IANA name such as Europe/Berlin"),
        ({"order": "model"}, "order", "there is no metric or dimension 'model'"),
        ({"order": "--requests"}, "order", "did you mean requests? in this query to order by"),
        ({"limit": 0}, "limit", f"limit must be from 1 to {MAX_ROWS}; it is 0"),
        ({"limit": MAX_ROWS + 1}, "limit", f"limit must be from 1 to {MAX_ROWS}"),
        ({"slos": (SLO,) * (MAX_SLOS + 1)}, "slo", f"at most {MAX_SLOS} SLOs can be given; there are {MAX_SLOS + 1}"),
        ({"metrics": ("goodput",)}, "slo", "goodput needs an SLO, such as slo=time_to_first_token_ms<500"),
        ({"compare": True}, "start", "to compare with the period before, say when this one starts"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_what_to_do(
    wrong: dict[str, Any], parameter: str, message: str
) -> None:
    with pytest.raises(QueryError) as error:
        Query(**wrong)
    assert error.value.parameter == parameter
    assert message in str(error.value)
    assert len(str(error.value)) < 2000


def test_a_query_is_a_value_that_survives_json() -> None:
    query = Query(
        metrics=("goodput", "time_to_first_token_ms.p99.9"),
        group_by=("time", "tag:team", "bin:total_tokens"),
        filter=RequestFilter(start=NOON, model="a"),
        bucket="5m",
        timezone="America/St_Johns",
        order="-goodput",
        compare=True,
        slos=(SLO,),
    )
    assert msgspec.json.decode(msgspec.json.encode(query), type=Query) == query
    assert hash(query) == hash(msgspec.structs.replace(query))
