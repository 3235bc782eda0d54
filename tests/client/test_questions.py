from llm_metrics_proxy.analytics.filters import FILTERED
from llm_metrics_proxy.client import RecordSelection


def test_a_selection_names_every_filter_of_the_api() -> None:
    assert set(RecordSelection.__annotations__) == {"since", "until", "where", *FILTERED}
