"""What the API answers, in as few words as an agent needs. Pure: JSON in, JSON out.

Numbers have six significant digits, texts that others chose have at most ``MAX_TEXT`` characters, and a whole answer at
most ``MAX_CHARS`` as JSON: the longest lists are shortened until it fits, and ``left_out`` says by how many.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_CHARS: Final = 16_000  # some 5,000 tokens
MAX_TEXT: Final = 300
_DIGITS: Final = 6
_HINT: Final = "what is left out stood last in its list: ask for fewer groups, a longer bucket or a shorter range"

Told = dict[str, Any]


def told_text(told: Mapping[str, Any]) -> str:
    """As JSON, the way agents read it."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def fitted(told: Told) -> Told:
    """The same within ``MAX_CHARS``."""
    told = {name: _shortened(value) for name, value in told.items()}
    left_out: dict[str, int] = {}
    while len(told_text(told)) > MAX_CHARS:
        lists = {name: value for name, value in told.items() if isinstance(value, list) and len(value) > 1}
        if not lists:
            return {"link": told.get("link"), "left_out": "everything: it does not fit; ask for less"}
        longest = max(lists, key=lambda name: len(told_text({name: lists[name]})))
        kept = len(told[longest]) // 2
        left_out[longest] = left_out.get(longest, 0) + len(told[longest]) - kept
        told = {**told, longest: told[longest][:kept], "left_out": left_out, "hint": _HINT}
    return told


def _shortened(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}…"
    if isinstance(value, Mapping):
        return {name: _shortened(one) for name, one in value.items()}
    return [_shortened(one) for one in value] if isinstance(value, list) else value


def _some(answer: Mapping[str, Any], *names: str) -> Told:
    """These parts, without those that say nothing."""
    return {name: answer[name] for name in names if answer.get(name) not in (None, [], {}, "")}


def notes(answer: Mapping[str, Any]) -> list[str]:
    """What must be known to read the numbers."""
    found = []
    if history := answer.get("history"):
        found.append(history["text"])
    if pruned := answer.get("pruned_before"):
        found.append(f"Most records from before {pruned} were deleted by the retention and are not counted.")
    if error := answer.get("relative_error"):
        found.append(f"Percentiles are within {error:.0%} of the exact ones.")
    return found


def of_query(answer: Mapping[str, Any]) -> Told:
    """Rows of a query or a comparison, flat: keys, then each metric's value."""
    metrics = [one for one in answer["columns"] if one["kind"] == "metric"]
    compared = answer["query"]["compare"]
    return {
        **_some(answer, "start", "end", "previous_start", "timezone", "bucket"),
        "records": answer["records"],
        "units": {one["name"]: one["unit"] for one in metrics if one["unit"]},
        "rows": [_row(row, compared=compared) for row in answer["rows"]],
        "notes": [*notes(answer), *_how_to_read(answer["rows"])],
    }


def _row(row: Mapping[str, Any], *, compared: bool) -> Told:
    found: Told = dict(row["key"])
    if row["merged"]:
        found = {**{name: value for name, value in found.items() if value is not None}, "merged_groups": row["merged"]}
    for name, one in row["values"].items():
        value = one["value"]
        found[name] = {"now": value, "before": one.get("previous"), "change": one.get("change")} if compared else value
    fewer = {name: one["n"] for name, one in row["values"].items() if _rests_on_fewer(one)}
    return {**found, **({"n": fewer} if fewer else {}), **_some(row, "partial", "presence")}


def _rests_on_fewer(one: Mapping[str, Any]) -> bool:
    return one["value"] is not None and one["coverage"] not in (None, 1)


def _how_to_read(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    words = {
        "n: so many records have the value, fewer than the row counts": any(
            _rests_on_fewer(one) for row in rows for one in row["values"].values()
        ),
        "merged_groups: this row is so many further groups together": any(row["merged"] for row in rows),
        "partial: part of this bucket lies outside the range": any(row.get("partial") for row in rows),
    }
    return [text for text, is_so in words.items() if is_so]


def of_summary(answer: Mapping[str, Any]) -> Told:
    """Totals, distributions, outcomes."""
    return {
        **_some(
            answer, "first_timestamp", "last_timestamp", "requests", "succeeded", "failed", "success_rate", "streamed",
            "not_streamed", "outcomes", "errors", "tokens", "cost_usd", "cache",
        ),
        "distributions": {name: one for name, one in answer["distributions"].items() if one["n"]},
        "notes": notes(answer),
    }  # fmt: skip


def of_errors(answer: Mapping[str, Any]) -> Told:
    """What went wrong and what to do about it."""
    return {
        **_some(
            answer, "first_timestamp", "last_timestamp", "requests", "errors", "share", "unclassified", "types",
            "models", "backends", "retry", "examples",
        ),
        "notes": notes(answer),
    }  # fmt: skip


def of_sessions(answer: Mapping[str, Any]) -> Told:
    """One row for each."""
    return {"sessions": [_some(one, *one) for one in answer["items"]], "notes": notes(answer)}


def of_session(answer: Mapping[str, Any]) -> Told:
    """One session: what it used, and its requests in order."""
    return {
        **_some(answer, "session", "parent_session_id", "children", "counted_requests", "time", "models", "agents",
                "misses"),
        "requests": [_some(one, *one) for one in answer["requests"]],
        "notes": notes(answer),
    }  # fmt: skip


SHOWN_COLUMNS: Final = (
    "timestamp", "request_id", "model", "backend_name", "endpoint", "app", "user", "session_id", "status_code",
    "outcome", "error_type", "error_message", "finish_reason", "is_streaming", "response_time_ms",
    "time_to_first_token_ms", "output_tokens_per_second", "proxy_overhead_ms", "prompt_tokens", "completion_tokens",
    "cached_tokens", "cost_usd",
)  # fmt: skip


def of_requests(answer: Mapping[str, Any], *more: str) -> Told:
    """Single records, with the columns that tell most, and ``more``."""
    names = dict.fromkeys((*SHOWN_COLUMNS, *more))
    return {"requests": [_some(one, *names) for one in answer["items"]], "notes": notes(answer)}


def of_changes(answer: Mapping[str, Any]) -> Told:
    """Sentences first, numbers behind them."""
    changes = [
        _some(one, "text", "kind", "metric", "unit", "good", "segment", "before", "after", "n_before", "n", "change",
              "low", "high", "by", "parts")
        for one in answer["changes"]
    ]  # fmt: skip
    overall = [_some(one, "metric", "unit", "before", "after", "change", "significant") for one in answer["overall"]]
    return {
        **_some(answer, "start", "end", "previous_start", "text", "requests", "requests_before", "not_looked_at"),
        "changes": changes,
        "overall": overall,
        "notes": notes(answer),
    }
