import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.facts import REFUSED, token_count
from llm_metrics_proxy.wire.usage_reports import MAX_REPORT_BYTES, Report, UsageReports, kept_of_one, kept_text, summed
from tests.wire.cuts import CALM


def test_reports_are_kept_by_where_they_stood() -> None:
    reports = UsageReports()
    reports.take("message.usage", {"input_tokens": 7, "output_tokens": 1})
    reports.take("usage", {"output_tokens": 30})
    assert reports.merged == {
        "message.usage": {"input_tokens": 7, "output_tokens": 1},
        "usage": {"output_tokens": 30},
    }


def test_a_later_report_replaces_what_it_names_and_nothing_else() -> None:
    reports = UsageReports()
    reports.take("usage", {"prompt_tokens": 9, "details": {"cached_tokens": 4, "audio_tokens": 0}})
    reports.take("usage", {"completion_tokens": 3, "details": {"audio_tokens": 2}})
    reports.take("usage", {"completion_tokens": 8})
    assert reports.merged["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 8,
        "details": {"cached_tokens": 4, "audio_tokens": 2},
    }


def test_a_zero_or_null_never_replaces_more() -> None:
    reports = UsageReports()
    reports.take("usage", {"prompt_tokens": 9, "completion_tokens": 3, "tier": None})
    reports.take("usage", {"prompt_tokens": 0, "completion_tokens": None, "tier": "batch"})
    assert reports.merged["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "tier": "batch"}


def test_what_is_no_object_is_no_report() -> None:
    reports = UsageReports()
    for value in (None, 5, "usage", [1], True):
        reports.take("usage", value)
    assert reports.merged == {}


def test_what_the_parts_of_an_answer_used_is_added_up() -> None:
    reports = UsageReports()
    reports.add("usage", {"input_tokens": 7, "details": {"cached_tokens": 2}, "type": "tokens"})
    reports.add("usage", {"input_tokens": 5, "details": {"cached_tokens": 1, "audio": 0.5}, "type": "tokens"})
    reports.add("usage", None)
    assert reports.merged == {
        "usage": {"input_tokens": 12, "details": {"cached_tokens": 3, "audio": 0.5}, "type": "tokens"}
    }


@pytest.mark.parametrize("nonsense", [-1, True, "7", [7]])
def test_nonsense_spoils_no_sum_and_is_kept_apart(nonsense: Any) -> None:
    for parts in ([nonsense, 5, 6], [5, nonsense, 6], [5, 6, nonsense]):
        reports = UsageReports()
        for part in parts:
            reports.add("usage", {"input_tokens": part})
        assert reports.merged == {"usage": {"input_tokens": 11}, "refused in usage": {"input_tokens": nonsense}}


def kept(**members: Any) -> Any:
    text = kept_text({"usage": members})
    assert len(text.encode()) <= MAX_REPORT_BYTES
    return json.loads(text)["usage"]


def test_a_report_is_kept_as_compact_json_in_its_own_words() -> None:
    reports = UsageReports()
    assert reports.text is None
    reports.take("usage", {"prompt_tokens": 9, "tier": "batch", "details": {"cached": None}, "parts": [{"a": 1}]})
    assert reports.text == ('{"usage":{"prompt_tokens":9,"tier":"batch","details":{"cached":null},"parts":[{"a":1}]}}')


def test_long_texts_are_never_kept_and_numbers_that_json_has_not_are_told() -> None:
    odd = {"said": "a prompt " * 20, "word": "x" * 64, "many": 10**30, "inf": float("inf"), "half": "\ud83d"}
    assert kept(**odd, deep={"said": "y" * 65}) == {
        "said": "…", "word": "x" * 64, "many": "…", "inf": "…", "half": "?", "deep": {"said": "…"},
    }  # fmt: skip
    assert kept(**{"k" * 65: 1, "prompt_tokens": 2}) == {"prompt_tokens": 2}


def test_a_long_report_is_cut_to_its_numbers_then_to_what_stands_highest_and_first() -> None:
    words = {f"word_{number}": "w" * 60 for number in range(40)}
    assert kept(prompt_tokens=7, **words, note=None, deep={"a": 1, "type": "x", "b": "y"}) == {
        "prompt_tokens": 7,
        "deep": {"a": 1, "type": "x"},
    }
    iterations = [{"type": "message", "input_tokens": number} for number in range(200)]
    found = kept(iterations=iterations, prompt_tokens=7)
    assert found == {"iterations": [{"type": "message", "input_tokens": sum(range(200))}], "prompt_tokens": 7}
    untyped = [{"input_tokens": number} for number in range(200)]
    assert kept(untyped=untyped, prompt_tokens=7) == {"untyped": untyped[:48], "prompt_tokens": 7}
    deep = {f"place_{number}": {f"count_{each}": 10**12 for each in range(9)} for number in range(40)}
    assert kept(**deep, prompt_tokens=7)["prompt_tokens"] == 7
    flat = {f"a_rather_long_name_of_a_count_{number}": 10**15 for number in range(48)}
    cut = kept(**flat)
    assert list(cut) == list(flat)[: len(cut)]
    assert len(cut) > 30
    crowd = {f"count_{number}": number for number in range(900)}
    assert kept(**crowd, prompt_tokens=7)["prompt_tokens"] == 7
    assert kept(**flat, **crowd, totalTokens=7)["totalTokens"] == 7


def test_a_long_list_keeps_what_each_type_used_together_and_what_was_nonsense() -> None:
    """Compactions are in no other count: a long turn of tools before them must not hide what they took."""
    message = {
        "type": "message",
        "input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 2},
        "output_tokens": 3,
    }
    compaction = {"type": "compaction", "input_tokens": 1000, "output_tokens": 10}
    for messages in (40, 400):
        assert kept(iterations=[*[message] * messages, compaction, compaction], input_tokens=5)["iterations"] == [
            {
                "type": "message",
                "input_tokens": messages,
                "cache_creation": {"ephemeral_5m_input_tokens": 2 * messages},
                "output_tokens": 3 * messages,
            },
            {"type": "compaction", "input_tokens": 2000, "output_tokens": 20},
        ]
    odd = kept(iterations=[message] * 60 + [{"type": "message", "input_tokens": -7}])["iterations"]
    assert odd[0]["input_tokens"] == -1


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=70), inner, max_size=60),
    max_leaves=300,
))  # fmt: skip
@CALM
def test_whatever_a_server_reports_is_kept_within_bounds_and_the_same_again(report: Any) -> None:
    text = kept_text({"usage": report if isinstance(report, dict) else {"report": report}})
    assert len(text.encode()) <= MAX_REPORT_BYTES
    assert kept_text(json.loads(text)) == text


def test_reports_without_end_are_held_within_bounds() -> None:
    reports = UsageReports()
    for number in range(5000):
        reports.take("usage", {f"new_{number}": {f"deep_{number}": {f"deeper_{number}": ["x" * 1000] * 100}}})
    assert len(reports.merged["usage"]) <= 48
    assert len(repr(reports.merged)) < 200_000  # the first one is as the server sent it


def test_a_report_that_the_decoder_has_checked_is_kept_as_any_other() -> None:
    for text in (
        b'{ "a" : 1, "b": 2.0 }',
        b"{}",
        b'{"a":"' + b"x" * 64 + b'","b":{"c":{"d":null}},"e":[1,{"f":true}]}',
    ):
        report = msgspec.json.decode(text, type=Report)
        assert kept_of_one("usage", report) == kept_text({"usage": json.loads(text)})
    many = {f"member_{number}": {"of": number} for number in range(500)}
    assert kept_of_one("usage", msgspec.json.decode(json.dumps(many), type=Report)) == kept_text({"usage": many})


@pytest.mark.parametrize("nonsense", [-1, "7", True, 2**41, [3]])
@pytest.mark.parametrize("others", [(7,), (7, 8)])
def test_a_sum_with_nonsense_in_it_is_no_count(nonsense: object, others: tuple[int, ...]) -> None:
    for values in ((nonsense, *others), (*others, nonsense), (others[0], nonsense, *others[1:])):
        reports = UsageReports()
        for value in values:
            reports.add("usage", {"tokens": value, "other": 1})
        total = summed(reports.merged, "usage")
        assert token_count(total["tokens"]) == REFUSED
        assert total["other"] == len(values)


def test_a_sum_without_nonsense_is_what_was_added() -> None:
    reports = UsageReports()
    for value in (1, 2, 3):
        reports.add("usage", {"tokens": value})
    assert summed(reports.merged, "usage") == {"tokens": 6}
    assert summed(reports.merged, "elsewhere") == {}
