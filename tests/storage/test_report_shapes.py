"""Reports are stored as the number of a shape and the numbers in it, and read as the very text that came."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage import report_shapes
from llm_metrics_proxy.storage.base import SHORTENED, IngestBatch
from llm_metrics_proxy.storage.connection import in_memory, transaction
from llm_metrics_proxy.storage.report_shapes import ReportShapes
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.wire.usage_reports import kept_text

REPORT: Final = SHORTENED["usage_reported"].format("usage_reported")
TABLE: Final = "CREATE TABLE usage_shapes (id INTEGER PRIMARY KEY, shape TEXT NOT NULL UNIQUE) STRICT"
PLAIN: Final = '{"usage":{"prompt_tokens":%d,"completion_tokens":%d}}'


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    with closing(in_memory()) as opened:
        opened.execute(TABLE)
        yield opened


def again(connection: apsw.Connection, stored: Any) -> Any:
    """As another connection reads it, which has seen nothing."""
    return ReportShapes(connection).text(stored)


def test_a_shape_gets_its_number_when_it_comes_again(connection: apsw.Connection) -> None:
    shapes = ReportShapes(connection)
    texts = [PLAIN % (number, 7 * number) for number in (1, 2, 345)]
    stored = [shapes.stored(text) for text in texts]
    shapes.save()
    assert stored == [texts[0], "~1:2,14", "~1:345,2415"]
    assert [again(connection, value) for value in stored] == texts
    assert list(connection.execute("SELECT * FROM usage_shapes")) == [
        (1, '{"usage":{"prompt_tokens\x00,"completion_tokens\x00}}')
    ]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
    | st.sampled_from(['":1', "7:1", "{", "1e5", "\x00", ",5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
def test_every_report_is_read_as_it_came(report: Any) -> None:
    with closing(in_memory()) as connection:
        connection.execute(TABLE)
        shapes = ReportShapes(connection)
        text = kept_text({"usage": {"report": report, "number": 5}})
        stored = [shapes.stored(text) for _ in range(3)]
        shapes.save()
        assert len(stored[2]) <= len(text)
        assert [again(connection, value) for value in stored] == [text] * 3


_INNER: Final = st.dictionaries(
    st.sampled_from(["a", "b", 'x":5', "7", "é"]),
    st.integers(-9, 10**9) | st.floats(0, 1e30) | st.sampled_from(["w", None, [1, 2], {"in": 5, "of": [3.5]}]),
    max_size=4,
)


@given(st.lists(_INNER, min_size=1, max_size=6), st.lists(st.integers(0, 5), max_size=40))
def test_the_last_shape_of_a_server_is_found_as_any_other(kinds: list[dict[str, Any]], order: list[int]) -> None:
    with closing(in_memory()) as connection, closing(in_memory()) as other:
        connection.execute(TABLE)
        other.execute(TABLE)
        quick, slow = ReportShapes(connection), ReportShapes(other)
        for at, which in enumerate(order):
            kind = kinds[which % len(kinds)]
            other_numbers = {name: value + at if type(value) is int else value for name, value in kind.items()}
            text = kept_text({"usage": other_numbers})
            slow._last.clear()
            assert quick.stored(text) == slow.stored(text)


@pytest.mark.parametrize("value", [None, "", "words", "[1]", 5, b"~7:1", "true", "007", "7:1"])
def test_what_is_no_report_is_left_alone(connection: apsw.Connection, value: Any) -> None:
    shapes = ReportShapes(connection)
    assert (shapes.stored(value), shapes.text(value)) == (value, value)


@pytest.mark.parametrize("stored", ["~9:1", "~1:1,2,3", "~1:", "~1", "~x:1", "~"])
def test_what_nobody_can_read_is_as_it_is(connection: apsw.Connection, stored: str) -> None:
    connection.execute("INSERT INTO usage_shapes VALUES (1, ?)", ('{"a\x00,"b\x00}',))
    assert again(connection, "~1:5,6") == '{"a":5,"b":6}'
    assert again(connection, stored) == stored
    with closing(in_memory()) as of_another_program:
        assert again(of_another_program, stored) == stored


def test_servers_that_invent_shapes_fill_no_table(connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_shapes, "MOST_SHAPES", 3)
    shapes = ReportShapes(connection)
    texts = [json.dumps({"usage": {f"count_{number}": number}}, separators=(",", ":")) for number in range(2000)]
    for text in texts:
        assert shapes.stored(text) == text  # each comes once
    stored = [shapes.stored(text) for text in texts[:10] * 3]
    shapes.save()
    assert [again(connection, value) for value in stored] == texts[:10] * 3
    assert connection.execute("SELECT count(*) FROM usage_shapes").get == 3
    assert len(shapes._met) <= 1024


def test_shapes_of_a_transaction_that_was_taken_back_are_given_anew(connection: apsw.Connection) -> None:
    shapes = ReportShapes(connection)
    with transaction(connection, keep=False):
        for _ in range(2):
            shapes.stored(PLAIN % (1, 2))
        shapes.save()
    shapes.forget()
    other = '{"usage":{"total_tokens":%d}}'
    stored = [shapes.stored(other % number) for number in (1, 2)]
    shapes.save()
    assert stored[1] == "~1:2"
    assert again(connection, stored[1]) == other % 2


def record(number: int, text: str | None) -> RequestRecord:
    return RequestRecord(
        request_id=f"{number:032d}", timestamp=f"2026-01-01T00:00:00.{number:06d}Z", method="POST", endpoint="/x",
        usage_reported=text,
    )  # fmt: skip


def test_the_store_shortens_and_readers_see_json(tmp_path: Path) -> None:
    texts = [*(PLAIN % (number, number) for number in range(50)), None, json.dumps({"usage": {"a": "b"}})]
    store = SqliteStore(tmp_path / "m.db")
    reader = SqliteReader(tmp_path / "m.db")
    for begin in (0, 20, 40):  # a reader that is open sees shapes that came later
        rows = [to_row(record(begin + at, text)) for at, text in enumerate(texts[begin : begin + 20])]
        store.append(IngestBatch(rows=rows))
        found = [text for (text,) in reader.query(f"SELECT {REPORT} FROM completion_requests ORDER BY arrival")]
        assert found == texts[: begin + 20]
    number = f"json_extract({REPORT}, '$.usage.prompt_tokens')"
    assert reader.query(f"SELECT {number} FROM completion_requests WHERE {REPORT} LIKE '%:49,%'") == [(49,)]
    reader.close()
    store.close()
    with closing(apsw.Connection(str(tmp_path / "m.db"))) as plain:
        ((bytes_stored,),) = plain.execute("SELECT sum(length(usage_reported)) FROM completion_requests")
    assert bytes_stored < sum(len(text or "") for text in texts) / 4


def test_a_store_that_is_opened_again_goes_on_with_its_shapes(tmp_path: Path) -> None:
    for number in range(3):
        store = SqliteStore(tmp_path / "m.db")
        store.append(IngestBatch(rows=[to_row(record(10 * number + at, PLAIN % (at, number))) for at in range(3)]))
        store.close()
    with closing(apsw.Connection(str(tmp_path / "m.db"))) as plain:
        assert plain.execute("SELECT count(*) FROM usage_shapes").get == 1
        stored = [text for (text,) in plain.execute("SELECT usage_reported FROM completion_requests ORDER BY arrival")]
    assert stored[0].startswith("{")
    assert stored[3:] == ["~1:0,1", "~1:1,1", "~1:2,1", "~1:0,2", "~1:1,2", "~1:2,2"]
