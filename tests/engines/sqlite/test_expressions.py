from collections.abc import Sequence

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.dimensions import BIN_EDGES
from llm_metrics_proxy.engines.sqlite import expressions
from tests.examples import examples

connection = apsw.Connection(":memory:")
connection.execute(
    "CREATE TABLE completion_requests (v, tags, prompt_tokens, usage_source, response_time_ms, model, status_code)"
)


def key_of(name: str, **values: object) -> object:
    one = expressions.key_of(name)
    connection.execute("DELETE FROM completion_requests")
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO completion_requests ({names}) VALUES ({marks})", tuple(values.values()))
    ((found,),) = connection.execute(f"SELECT {one.sql} FROM completion_requests", one.parameters)
    return found


@examples(100)
@given(st.lists(st.integers(-50, 50), unique=True, max_size=40).map(sorted), st.integers(-60, 60))
def test_a_search_finds_how_many_edges_are_at_or_below(edges: Sequence[int], value: int) -> None:
    clause = expressions.search("v", edges, range(len(edges) + 1))
    connection.execute("DELETE FROM completion_requests")
    connection.execute("INSERT INTO completion_requests (v) VALUES (?)", (value,))
    ((found,),) = connection.execute(f"SELECT {clause.sql} FROM completion_requests", clause.parameters)
    assert found == sum(edge <= value for edge in edges)


def test_a_search_of_two_thousand_edges_is_eleven_deep() -> None:
    assert expressions.search("v", range(2000), range(2001)).sql.split("ELSE")[0].count("CASE") <= 11


@pytest.mark.parametrize(
    ("tags", "key", "value"),
    [
        (None, "a", None),
        ("", "a", None),
        ("a=1", "a", "1"),
        ("a=1,b=2", "b", "2"),
        ("a=1,b=2", "c", None),
        ("ba=1,a=2", "a", "2"),
        ("ba=1", "a", None),
        ("a=", "a", ""),
        ("a=x=y,b=2", "a", "x=y"),
        ("b=a=1", "a", None),
        ("é=ü", "é", "ü"),
        ("a%_=1", "a__", None),
    ],
)
def test_a_tag_is_found_by_its_whole_key(tags: str | None, key: str, value: str | None) -> None:
    assert key_of(f"tag:{key}", tags=tags) == value


@pytest.mark.parametrize(
    ("tokens", "band"),
    [(None, None), (0, "0"), (1, "1-63"), (63, "1-63"), (64, "64-255"), (65_535, "16384-65535"), (65_536, "65536+"),
     (1500, "1024-4095"), (-1, None), (2**41, None)],
)  # fmt: skip
def test_lengths_come_in_bands(tokens: object, band: str | None) -> None:
    assert key_of("prompt_length", prompt_tokens=tokens) == band


@pytest.mark.parametrize(
    ("value", "begins"),
    [(0, 0.0), (0.0009, 0.0), (0.001, 0.001), (99.9, 70.0), (100, 100.0), (149.99, 100.0), (150, 150.0), (1e12, 1e9)],
)
def test_values_come_in_bins_that_do_not_depend_on_them(value: float, begins: float) -> None:
    index = key_of("bin:response_time_ms", response_time_ms=value)
    assert isinstance(index, int)
    assert BIN_EDGES[index] == begins


def test_bins_of_no_value_and_of_negative_ones() -> None:
    assert key_of("bin:response_time_ms", response_time_ms=-1) == -1
    assert key_of("bin:response_time_ms", response_time_ms=None) is None


@pytest.mark.parametrize("name", ["prompt_length", "bin:prompt_tokens"])
@pytest.mark.parametrize(("source", "counts"), [("repeated", False), ("reported", True), (None, True)])
def test_what_a_record_repeats_is_in_no_group(name: str, source: str | None, counts: bool) -> None:
    assert (key_of(name, prompt_tokens=70, usage_source=source) is not None) is counts


def test_a_column_is_its_own_key() -> None:
    assert expressions.key_of("model") == ("model", ())


@pytest.mark.parametrize(("status", "key"), [(200, 200), (None, None), (-1, None), (1000, None)])
def test_what_an_older_program_stored_beyond_all_limits_is_in_no_group(status: int | None, key: int | None) -> None:
    assert key_of("status_code", status_code=status) == key
