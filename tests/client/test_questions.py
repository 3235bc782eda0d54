from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from llm_metrics_proxy.analytics.filters import FILTERED
from llm_metrics_proxy.client import QueryError, RecordSelection
from llm_metrics_proxy.client.questions import selected

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_selection_names_every_filter_of_the_api() -> None:
    assert set(RecordSelection.__annotations__) == {"since", "until", "where", *FILTERED}


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (-5, "give a moment"),
        (date(2026, 3, 1), "give a moment"),
        (timedelta(days=-1), "an age counts back from now"),
        (timedelta.max, "outside the calendar"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "outside the calendar"),
    ],
)
def test_a_moment_that_is_none_is_refused(name: str, moment: Any, message: str) -> None:
    selection: Any = {name: moment}
    with pytest.raises(QueryError, match=f"{name}: .*{message}|{name}: {message}") as caught:
        selected(selection, NOW)
    assert caught.value.parameter == name
