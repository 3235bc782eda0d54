"""A tree means the same in SQLite, in ClickHouse and in Python."""

import json
import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_metrics_proxy.migration import formula as f
from tests.migration.chdb_process import ClickHouse, clickhouse

COLUMNS = {
    "total_tokens": "Nullable(Int64)",
    "completion_tokens": "Nullable(Int64)",
    "response_time_ms": "Nullable(Float64)",
    "time_to_first_token_ms": "Nullable(Float64)",
    "is_streaming": "Nullable(UInt8)",
    "model": "Nullable(String)",
    "usage_reported": "Nullable(String)",
}
WHOLES = st.one_of(
    st.none(), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1), st.sampled_from((2**53 + 1, 2**63 - 1))
)
NUMBERS = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from((0.0, -0.0, 1.0, 1e308, -1e308, 5e-324)),
)
WORDS = st.sampled_from((None, "", "llama", "x_fetch", "it's", "a\\b", "日本", "Llama", "llama3"))
REPORTED = st.one_of(
    st.none(),
    st.sampled_from(("", "{", "[]", "null")),
    st.fixed_dictionaries(
        {
            "usage": st.dictionaries(
                st.sampled_from(("a", "b")), st.sampled_from((7, 2.5, 0, -1, "7", True, None, {"b": 3}))
            )
        }
    ).map(json.dumps),
)
RECORDS = st.fixed_dictionaries(
    {
        "total_tokens": WHOLES, "completion_tokens": WHOLES, "response_time_ms": NUMBERS,
        "time_to_first_token_ms": NUMBERS, "is_streaming": st.sampled_from((None, 0, 1)), "model": WORDS,
        "usage_reported": REPORTED,
    }
)  # fmt: skip
NUMERIC = st.one_of(
    st.sampled_from([f.column(name) for name in COLUMNS if f.column(name).type in {f.NUMBER, f.WHOLE}]),
    st.sampled_from(
        (f.value(0), f.value(2), f.value(0.5), f.value(-(2**63)), f.value(math.inf), f.member("usage", "a"))
    ),
    st.sampled_from((f.member("usage", "a", "b"), f.value(1e308))),
)
ABOUT_TEXT = st.sampled_from((
    f.column("model").equals("llama"), f.column("model") < "b", f.column("model").is_one_of("it's", "a\\b", "日本"),
    f.column("model").ends_with("_fetch"), f.column("model").starts_with("llama"), f.missing(f.column("model")),
    f.column("is_streaming"), f.column("is_streaming").equals(f.value(True)), f.missing(f.column("usage_reported")),
))  # fmt: skip


def truths(numbers: st.SearchStrategy[f.Formula]) -> st.SearchStrategy[f.Formula]:
    compared = st.tuples(st.sampled_from(("less", "at_most", "equal", "same")), numbers, numbers).map(
        lambda drawn: f._comparison(*drawn)
    )
    base = st.one_of(ABOUT_TEXT, compared, numbers.map(f.missing))
    return st.recursive(
        base,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
            st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
            inner.map(lambda one: ~one),
        ),
        max_leaves=4,
    )


TRUTHS = truths(NUMERIC)


def grown(inner: st.SearchStrategy[f.Formula]) -> st.SearchStrategy[f.Formula]:
    return st.one_of(
        st.tuples(st.sampled_from(("add", "subtract", "multiply", "divide")), inner, inner).map(
            lambda drawn: f._arithmetic(*drawn)
        ),
        inner.map(f.finite),
        inner.map(f.whole),
        st.tuples(TRUTHS, inner, st.one_of(st.none(), inner)).map(lambda drawn: f.when(*drawn)),
        st.tuples(inner, inner).map(lambda two: f.coalesce(*two)),
    )


FORMULAS = st.one_of(st.recursive(NUMERIC, grown, max_leaves=8), TRUTHS)


@pytest.fixture(scope="module")
def engine() -> Iterator[ClickHouse]:
    with clickhouse() as process:
        yield process


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


def literal(found: Any, kind: str) -> str:
    if found is None:
        return f"CAST(NULL AS {kind})"
    if isinstance(found, str):
        return f._constant(found, f.TEXT, 1)
    if isinstance(found, float):
        bits = struct.unpack("<Q", struct.pack("<d", found))[0]
        return f"CAST(reinterpretAsFloat64(toUInt64({bits})) AS {kind})"
    return f"CAST({found} AS {kind})"


def in_clickhouse(engine: ClickHouse, formula: f.Formula, record: dict[str, Any]) -> Any:
    given_ = ", ".join(f"{literal(record[name], kind)} AS {name}" for name, kind in COLUMNS.items())
    kind = "reinterpretAsUInt64(assumeNotNull(v))" if formula.type == f.NUMBER else "v"
    calculated = f"SELECT {f.clickhouse(formula)} AS v FROM (SELECT {given_})"
    ((is_null, found),) = engine.rows(f"SELECT isNull(v), toString(ifNull({kind}, 0)) FROM ({calculated})")
    if is_null:
        return None
    return struct.unpack("<d", struct.pack("<Q", int(found)))[0] if formula.type == f.NUMBER else int(found)


def in_sqlite(database: apsw.Connection, formula: f.Formula, record: dict[str, Any]) -> Any:
    given_ = ", ".join(f"? AS {name}" for name in record)
    return database.execute(f"SELECT {f.sqlite(formula)} FROM (SELECT {given_})", tuple(record.values())).get


def alike(one: Any, two: Any) -> bool:
    return one is two if one is None or two is None else float(one) == float(two) and (one == two)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(formula=FORMULAS, record=RECORDS)
def test_three_evaluations_agree(
    engine: ClickHouse, database: apsw.Connection, formula: f.Formula, record: dict[str, Any]
) -> None:
    in_python = f.evaluate(formula, record)
    assert alike(in_sqlite(database, formula, record), in_python), f.sqlite(formula)
    assert alike(in_clickhouse(engine, formula, record), in_python), f.clickhouse(formula)


tokens, duration_ms = f.column("total_tokens"), f.column("response_time_ms")
KNOWN = [
    (tokens / duration_ms, {"total_tokens": 1, "response_time_ms": 0.0}, None),
    (tokens / duration_ms, {"total_tokens": None, "response_time_ms": 2.0}, None),
    (tokens + tokens, {"total_tokens": 2**63 - 1}, 2.0**64),
    (f.whole(tokens + 1), {"total_tokens": 2**63 - 1}, None),
    (f.whole(tokens / 2), {"total_tokens": 3}, None),
    (duration_ms * duration_ms, {"response_time_ms": 1e200}, math.inf),
    (f.finite(duration_ms * duration_ms), {"response_time_ms": 1e200}, None),
    (duration_ms * duration_ms - duration_ms * duration_ms, {"response_time_ms": 1e200}, None),
    (f.when(tokens > 0, 1, 2), {"total_tokens": None}, 2),
    ((tokens > 0) | f.missing(duration_ms), {"total_tokens": None, "response_time_ms": None}, True),
    (~(tokens > 0), {"total_tokens": None}, None),
    (f.coalesce(tokens, 7), {"total_tokens": None}, 7),
    (f.coalesce(tokens, 7), {"total_tokens": 2**63 - 1}, 2**63 - 1),
    (f.member("usage", "a"), {"usage_reported": '{"usage": {"a": 12}}'}, 12.0),
    (f.member("usage", "a"), {"usage_reported": '{"usage": {"a": "12"}}'}, None),
]


@pytest.mark.parametrize(("formula", "given_", "expected"), KNOWN)
def test_what_trees_mean(
    engine: ClickHouse, database: apsw.Connection, formula: f.Formula, given_: dict[str, Any], expected: Any
) -> None:
    record = dict.fromkeys(COLUMNS) | given_
    assert f.evaluate(formula, record) == expected
    assert alike(in_sqlite(database, formula, record), expected)
    assert alike(in_clickhouse(engine, formula, record), expected)


@pytest.mark.parametrize("odd", ["12", b"12", math.inf, -math.inf, 1.5, 9.3e18])
def test_in_files_of_other_programs_what_does_not_fit_is_missing(database: apsw.Connection, odd: Any) -> None:
    record = dict.fromkeys(COLUMNS) | {"total_tokens": odd, "response_time_ms": 2.0}
    assert in_sqlite(database, tokens * duration_ms, record) is None
    assert in_sqlite(database, f.missing(tokens), record) == 1


def test_a_tree_that_makes_no_sense_is_refused() -> None:
    senseless: tuple[Callable[[], object], ...] = (
        lambda: f.column("model") + 1, lambda: f.when(tokens, 1), lambda: tokens.equals("llama"),
        lambda: f.coalesce(tokens, "x"), lambda: tokens & tokens, lambda: tokens.ends_with("x"),
        lambda: f.column("timestamp_original"),
    )  # fmt: skip
    for wrong in senseless:
        with pytest.raises((TypeError, KeyError)):
            wrong()
