from collections import Counter
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics import Errors, ErrorsQuery, RequestFilter, read_errors
from llm_metrics_proxy.analytics.error_answer import MAX_MESSAGE_CHARS
from llm_metrics_proxy.analytics.errors import MAX_BUCKETS, MAX_EXAMPLES, MAX_GROUPS, WIDTHS_S, width_for
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import RAW_COLUMNS
from llm_metrics_proxy.wire.error_types import PHASES, TAXONOMY
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.examples import examples

EVERYTHING = ErrorsQuery()
kinds = st.sampled_from([(None, None), *((row.category, row.type) for row in TAXONOMY)])
facts = st.fixed_dictionaries(
    {
        "seconds": st.integers(0, 7200),
        "kind": kinds,
        "success": st.booleans(),
        "error_phase": st.sampled_from([None, *PHASES]),
        "model": st.sampled_from(["a", "b", None]),
        "backend": st.sampled_from(["h:1", None]),
        "backend_name": st.sampled_from(["here", None]),
        "app_version": st.sampled_from(["1.0.0", APP_VERSION]),
    }
)


def row_of(fact: dict[str, Any]) -> tuple[Any, ...]:
    raw = {name: value for name, value in fact.items() if name in RAW_COLUMNS}
    category, kind = fact["kind"]
    verdict = {"error_category": category, "error_phase": fact["error_phase"], "app_version": fact["app_version"]}
    return a_row(a_record(fact["seconds"], error_type=kind, **raw), **verdict)


def an_error(seconds: float = 0, **changes: Any) -> tuple[Any, ...]:
    words = {"success": False, "outcome": "upstream_error", "status_code": 503, "finish_reason": None, **changes}
    return a_row(a_record(seconds, error_type="overloaded", **words), error_category="upstream")


def ask(database: Database, **conditions: Any) -> Errors:
    return read_errors(database.records, ErrorsQuery(filter=RequestFilter(**conditions)))


@examples(40)
@given(st.lists(facts, max_size=25), st.sampled_from([{}, {"model": "a"}, {"success": False}]))
def test_every_number_equals_that_of_plain_python(rows: list[dict[str, Any]], conditions: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        database = Database(Path(folder))
        database.append(row_of(fact) for fact in rows)
        answer = ask(database, **conditions)
        database.close()
    chosen = [fact for fact in rows if all(fact[name] == value for name, value in conditions.items())]
    wrong = [fact for fact in chosen if fact["kind"] != (None, None)]
    share = (lambda n: n / len(chosen)) if chosen else (lambda n: None)
    assert (answer.requests, answer.errors, answer.share) == (len(chosen), len(wrong), share(len(wrong)))
    assert answer.unclassified == sum(not fact["success"] for fact in chosen if fact not in wrong)

    types = Counter(fact["kind"] for fact in wrong)
    assert {(one.category, one.type): (one.n, one.share) for one in answer.types} == {
        kind: (n, share(n)) for kind, n in types.items()
    }
    for one in answer.types:
        assert one.newest == row_of(max((f for f in wrong if f["kind"] == (one.category, one.type)), key=seconds))[1]
    categories = Counter(fact["kind"][0] for fact in wrong)
    assert {one.category: (one.n, one.share) for one in answer.categories} == {
        name: (n, share(n)) for name, n in categories.items()
    }
    phases = Counter(fact["error_phase"] for fact in wrong)
    assert {one.phase: (one.n, one.share) for one in answer.phases} == {
        name: (n, share(n)) for name, n in phases.items()
    }
    models, of_models = (Counter(fact["model"] for fact in some) for some in (wrong, chosen))
    assert {one.model: (one.n, one.requests, one.share) for one in answer.models} == {
        name: (n, of_models[name], n / of_models[name]) for name, n in models.items()
    }
    backends, of_backends = (Counter((f["backend_name"], f["backend"]) for f in some) for some in (wrong, chosen))
    assert {(one.backend_name, one.backend): (one.n, one.requests) for one in answer.backends} == {
        key: (n, of_backends[key]) for key, n in backends.items()
    }
    assert answer.further_errors == {}
    for found in (answer.categories, answer.types, answer.phases, answer.models, answer.backends):
        assert [one.n for one in found] == sorted((one.n for one in found), reverse=True)

    width_s = answer.bucket_s
    buckets, of_buckets = (Counter(bucket_of(fact, width_s) for fact in some) for some in (wrong, chosen))
    assert {one.start: (one.n, one.requests) for one in answer.buckets if one.requests} == {
        start: (buckets[start], n) for start, n in of_buckets.items()
    }
    assert all(one.n == 0 and one.share is None for one in answer.buckets if not one.requests)
    newest = sorted(wrong, key=seconds, reverse=True)[: EVERYTHING.examples]
    assert [example.timestamp for example in answer.examples] == [row_of(fact)[1] for fact in newest]


def seconds(fact: dict[str, Any]) -> int:
    found: int = fact["seconds"]
    return found


def bucket_of(fact: dict[str, Any], width_s: int | None) -> str:
    assert width_s is not None
    began = NOON.replace(hour=0) + timedelta(seconds=(12 * 3600 + fact["seconds"]) // width_s * width_s)
    return f"{began:%Y-%m-%dT%H:%M:%SZ}"


def test_no_record_gives_no_share_and_no_bucket(database: Database) -> None:
    answer = ask(database)
    assert (answer.requests, answer.errors, answer.share, answer.bucket_s) == (0, 0, None, None)
    assert answer.first_timestamp is answer.last_timestamp is None
    assert [answer.types, answer.buckets, answer.examples, answer.retry] == [[]] * 4


def test_one_error_is_one_everywhere(database: Database) -> None:
    database.append([an_error()])
    answer = ask(database)
    (one,) = answer.types
    explained = next(row for row in TAXONOMY if row.type == "overloaded")
    assert (one.meaning, one.advice) == (explained.meaning, explained.advice)
    assert (one.n, one.share, one.newest) == (1, 1.0, "2026-03-01T12:00:00.000000Z")
    assert (answer.app_version, answer.filter) == (APP_VERSION, RequestFilter())
    assert [(bucket.start, bucket.n) for bucket in answer.buckets] == [("2026-03-01T12:00:00Z", 1)]


def test_an_answer_that_is_complete_but_flagged_counts_and_succeeds_all_the_same(database: Database) -> None:
    database.append([a_row(a_record(error_type="refusal"), error_category="policy"), a_row(a_record())])
    answer = ask(database)
    assert (answer.errors, answer.share, answer.unclassified) == (1, 0.5, 0)
    assert answer.examples[0].outcome == "completed"


def test_the_words_of_older_programs_are_counted_apart_until_they_are_classified(database: Database) -> None:
    database.add(a_record(success=False, outcome="rejected", error_type="quota"), a_record())
    database.append([an_error()])
    database.add(a_record(), app_version="1.0.0")
    answer = ask(database)
    assert (answer.requests, answer.errors, answer.unclassified) == (4, 1, 1)
    assert [one.type for one in answer.types] == ["overloaded"]


def test_examples_are_the_newest_and_their_messages_are_cut(database: Database) -> None:
    database.append(an_error(number, error_message="x" * 500) for number in range(30))
    answer = read_errors(database.records, ErrorsQuery(examples=3))
    assert [example.arrival for example in answer.examples] == [30, 29, 28]
    assert all(len(example.message or "") == MAX_MESSAGE_CHARS for example in answer.examples)
    assert read_errors(database.records, ErrorsQuery(examples=0)).examples == []


@pytest.mark.parametrize("examples", [-1, MAX_EXAMPLES + 1])
def test_more_examples_than_there_may_be_are_refused(examples: int) -> None:
    with pytest.raises(QueryError, match="from 0 to 100") as caught:
        ErrorsQuery(examples=examples)
    assert caught.value.parameter == "examples"


def test_models_that_clients_make_up_cannot_swell_the_answer(database: Database) -> None:
    database.append(an_error(model=f"m{number}") for number in range(MAX_GROUPS + 50))
    answer = ask(database)
    assert len(answer.models) == MAX_GROUPS
    assert answer.further_errors == {"models": 50}


@given(st.integers(0, 2**37), st.integers(0, 2**37))
def test_a_range_of_any_length_has_a_handful_of_buckets(one: int, other: int) -> None:
    oldest, newest = sorted((one, other))
    width_s = width_for(oldest, newest)
    assert width_s in WIDTHS_S or width_s % WIDTHS_S[-1] == 0
    assert (newest - oldest) / width_s <= MAX_BUCKETS
    assert width_s == WIDTHS_S[0] or (newest - oldest) / (width_s / 8) > MAX_BUCKETS  # and no longer than it has to be


def test_a_bucket_of_a_week_begins_on_a_monday(database: Database) -> None:
    database.append([a_row(a_record()), an_error(300 * 86_400)])
    answer = ask(database)
    assert answer.bucket_s == 7 * 86_400
    assert (answer.buckets[0].start, answer.buckets[0].requests) == ("2026-02-23T00:00:00Z", 1)
    assert (answer.buckets[1].requests, answer.buckets[1].share) == (0, None)
