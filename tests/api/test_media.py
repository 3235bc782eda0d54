import pytest

from llm_metrics_proxy.api.media import preferred

THERE = ["application/json", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"]
JSON, ARROW, PARQUET = THERE


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        ("text/csv", JSON),
        (ARROW, ARROW),
        (f"{PARQUET}, */*;q=0.1", PARQUET),
        (f"application/json;q=0.5, {ARROW};q=0.9", ARROW),
        (f"application/json;q=0, {ARROW};q=0.1", ARROW),
        (f"{ARROW.upper()} ; q = 1.000 , application/*;q=0.9", ARROW),
        (f"application/*, {ARROW};q=0", JSON),
        (f"application/json;charset=utf-8;q=0.2, {PARQUET};q=0.3", PARQUET),
        (f"{ARROW};q=2, {PARQUET};q=0.001", PARQUET),
        (f"{ARROW};q=high", JSON),
        (",;,=", JSON),
    ],
)
def test_the_greatest_weight_wins_and_of_equals_the_first(accepted: str, chosen: str) -> None:
    assert preferred(accepted, THERE) == chosen
