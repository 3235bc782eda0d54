"""How stored records failed, and why, as SQL made from the tables of the taxonomy.

The tables (``wire.error_types``, ``wire.error_clues``, ``wire.error_taxonomy``) are shared with the formula of new
records. A migration names its own version, and its checksum is over the SQL that comes out: an edit
of what a released version knew shows. Values of the wrong type, which files of other programs hold, count as missing.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from llm_metrics_proxy.migration.model import SharedExpressions
from llm_metrics_proxy.wire.error_clues import LEGACY, STATUSES, VAGUE, Clue
from llm_metrics_proxy.wire.error_taxonomy import CONNECTING, DEFAULTS, IMPLIED, OUTCOME_OF, taxonomy_of

INPUTS: Final = (
    "outcome", "success", "status_code", "upstream_status_code", "error_type", "error_message", "upstream_error_code",
    "upstream_error_type", "finish_reason", "model", "request_bytes", "body_complete_ms", "request_sent_ms",
    "response_headers_ms", "time_to_first_byte_ms", "time_to_first_token_ms", "content_chunks", "outcome_original",
    "error_type_original", "recompute_reason",
)  # fmt: skip


_ANY: Final = "{}"
_WHOLE: Final = "CASE WHEN typeof({0}) = 'integer' THEN {0} END"
_WHETHER_TEXT: Final = "CASE WHEN typeof({}) = 'text' THEN '' END"
_WHETHER_NUMBER: Final = "CASE WHEN typeof({}) IN ('integer', 'real') THEN 1 END"
_WHETHER_ZERO: Final = "CASE WHEN typeof({0}) = 'integer' THEN {0} <> 0 END"
# What the oracle distinguishes of each input: of times, only whether there is one.
ORACLE_KEY: Final = (
    _ANY, _ANY, _WHOLE, _WHOLE, _ANY, _ANY, _ANY,
    _ANY, _ANY, _WHETHER_TEXT, _WHETHER_NUMBER, _WHETHER_NUMBER, _WHETHER_NUMBER,
    _WHETHER_NUMBER, _WHETHER_NUMBER, _WHETHER_NUMBER, _WHETHER_ZERO, _ANY,
    _ANY, _ANY,
)  # fmt: skip


def _text(column: str) -> str:
    return f"CASE WHEN typeof({column}) = 'text' THEN {column} END"


def _is_number(column: str) -> str:
    return f"typeof({column}) IN ('integer', 'real')"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list(texts: Iterable[str]) -> str:
    return "(" + ", ".join(map(_quoted, texts)) + ")"


def _mapped(value: str, table: Mapping[str, str], otherwise: str = "NULL") -> str:
    whens = " ".join(f"WHEN {_quoted(key)} THEN {_quoted(to)}" for key, to in table.items())
    return f"CASE {value} {whens} ELSE {otherwise} END"


def _first(clues: Iterable[Clue], *, messages: bool = True) -> str:
    """The type of the first clue that fits ``w1``, ``w2``, ``w3`` (words), ``m`` (message) and ``shown`` (status)."""
    whens = []
    for clue in clues:
        tests = [f"w{n} IN {_list(clue.words)}" for n in (1, 2, 3)] if clue.words else []
        if clue.texts and messages:
            found = "(" + " OR ".join(f"instr(m, {_quoted(text)})" for text in clue.texts) + ")"
            if clue.also:
                found += f" AND instr(m, {_quoted(clue.also)})"
            if clue.statuses:
                found += f" AND shown IN ({', '.join(map(str, clue.statuses))})"
            tests.append(f"({found})")
        whens.append(f"WHEN {' OR '.join(tests)} THEN {_quoted(clue.type)}")
    return f"CASE {' '.join(whens)} END"


def _by_status(status: str) -> str:
    whens = " ".join(f"WHEN {status} = {number} THEN {_quoted(kind)}" for number, kind in STATUSES.items())
    return f"CASE WHEN {status} < 400 THEN NULL {whens} WHEN {status} < 500 THEN 'invalid' WHEN {status} >= 500 THEN 'internal' END"  # noqa: E501


def _words_status() -> str:
    return "CASE " + " ".join(f"WHEN w{n} GLOB '[45][0-9][0-9]' THEN CAST(w{n} AS INTEGER)" for n in (1, 2, 3)) + " END"


_OUTCOMES = _mapped("o", OUTCOME_OF)
_DONE = (
    "CASE WHEN o2 = 'completed' THEN 1 WHEN o2 IS NOT NULL THEN 0 WHEN ok IS NULL THEN coalesce(s BETWEEN 200 AND 399, 0) "  # noqa: E501
    "ELSE ok END"
)
_BEGAN = "(CASE WHEN us >= 400 THEN 0 WHEN ft THEN 1 ELSE {other} AND cc IS NULL AND fb END)"
_DISCONNECT = (
    f"CASE WHEN {_BEGAN.format(other='1')} THEN 'disconnect_mid_stream' ELSE 'disconnect_before_first_token' END"
)
_SAID = f"coalesce(said, CASE WHEN s >= 400 THEN NULL WHEN shown IS NOT NULL THEN {_by_status('shown')} ELSE {_first(VAGUE)} END)"  # noqa: E501
_FINAL_OUTCOME = (
    f"CASE WHEN done THEN 'completed' WHEN o2 IS NULL THEN {_mapped('k', IMPLIED, _quoted('upstream_error'))} "
    "WHEN o2 = 'client_disconnected' THEN o2 WHEN e = 'no_models' THEN 'upstream_error' "
    "WHEN o = 'proxy_error' AND (k = 'saturated' OR (k = 'shutdown' AND NOT rh)) THEN 'proxy_refused' ELSE o2 END"
)
_FINAL_KIND = (
    f"CASE WHEN NOT done AND o2 IS NULL AND {_mapped('k', IMPLIED)} = 'client_disconnected' THEN disconnect ELSE k END"
)
_BEGUN = _BEGAN.format(other="ending <> 'upstream_error'")
_PHASE = (
    "CASE WHEN done OR k2 IN ('crashed', 'record_lost') THEN NULL "
    f"WHEN k2 IN {_list(sorted(CONNECTING))} THEN 'connect' "
    "WHEN ending = 'proxy_refused' AND coalesce(k2, '') NOT IN ('saturated', 'shutdown') THEN 'request' "
    f"WHEN {_BEGUN} THEN 'mid_stream' "
    "WHEN rs OR rh OR NOT rb THEN 'before_first_token' WHEN bc THEN 'connect' ELSE 'request' END"
)
_REASON = (
    "CASE WHEN done OR k2 IS NOT NULL THEN NULL WHEN has_m OR (e IS NOT NULL AND e <> 'unknown') "
    "THEN 'error_not_recognised' ELSE 'error_without_words' END"
)
# By far the most records: nothing has to be looked up for them.
PLAIN: Final = (
    "error_type IS NULL AND (outcome = 'completed' COLLATE BINARY OR (outcome IS NULL AND typeof(success) = 'integer' "
    "AND success = 1)) AND (finish_reason IS NULL OR finish_reason COLLATE BINARY IN ('stop', 'length', 'tool_calls'))"
)


def shared_expressions(version: str) -> SharedExpressions:
    """What the columns of 3.0.0 rest on, by the types that ``version`` knows."""
    known = taxonomy_of(version)
    word = f"coalesce({_mapped('word', known.words)}, {_mapped('o2', DEFAULTS)})"
    kind = (
        f"CASE WHEN done THEN CASE WHEN e IN {_list(known.flagged)} THEN e "
        f"ELSE {_mapped('f', known.flags)} END "
        f"WHEN o2 IS NULL THEN CASE WHEN word IN {_list(IMPLIED)} THEN word "
        f"ELSE coalesce(said2, {_first(LEGACY)}, {_by_status('s')}, CASE WHEN s IS NOT NULL AND own THEN 'error_event' END) END "  # noqa: E501
        f"WHEN o2 = 'upstream_error' THEN coalesce(said2, {_by_status('s')}, CASE WHEN s IS NOT NULL AND (own OR e IS NOT 'unknown') THEN 'error_event' END) "  # noqa: E501
        "WHEN o2 = 'client_disconnected' THEN disconnect WHEN e = 'no_models' THEN 'bad_gateway' "
        "WHEN e = 'no_backend_for_model' THEN CASE WHEN has_model THEN 'model_not_found' ELSE 'config' END "
        f"WHEN cc = 0 AND {word} = 'truncated' THEN 'empty' ELSE {word} END"
    )
    category = (
        "CASE WHEN done THEN CASE WHEN k2 IS NOT NULL THEN 'policy' END WHEN k2 IS NULL THEN 'unknown' "
        "WHEN k2 = 'internal' AND ending = 'proxy_crashed' THEN 'proxy' "
        f"ELSE {_mapped('k2', known.category_of, _quoted('upstream'))} END"
    )
    # One layer of names upon the other: each sees those below, the first the record's columns.
    layers: tuple[dict[str, str], ...] = (
        {
            "o": _text("outcome"), "e": _text("error_type"), "f": f"lower({_text('finish_reason')})",
            "w1": f"lower({_text('upstream_error_code')})", "w2": f"lower({_text('upstream_error_type')})",
            "w3": f"lower({_text('error_type')})", "m": f"coalesce(lower({_text('error_message')}), '')",
            "has_m": "typeof(error_message) = 'text'", "own": "typeof(upstream_error_code) = 'text' OR typeof(upstream_error_type) = 'text'",  # noqa: E501
            "has_model": "typeof(model) = 'text'",
            "us": _WHOLE.format("upstream_status_code"),
            "s": f"coalesce({_WHOLE.format('upstream_status_code')}, {_WHOLE.format('status_code')})",
            "ok": f"CASE WHEN {_is_number('success')} THEN success <> 0 END", "cc": _WHOLE.format("content_chunks"),
            "rb": _is_number("request_bytes"), "bc": _is_number("body_complete_ms"),
            "rs": _is_number("request_sent_ms"), "rh": _is_number("response_headers_ms"),
            "fb": _is_number("time_to_first_byte_ms"), "ft": _is_number("time_to_first_token_ms"),
        },
        {"o2": _OUTCOMES, "shown": f"CASE WHEN s >= 400 THEN s ELSE {_words_status()} END", "disconnect": _DISCONNECT,
         "word": "CASE WHEN o = 'record_lost' THEN 'record_lost' ELSE e END"},
        {"done": _DONE, "said": _first(known.clues)},
        {"said2": _SAID},
        {"k": kind},
        {"ending": _FINAL_OUTCOME, "k2": _FINAL_KIND},
        {"category": category, "kind": "CASE WHEN done THEN k2 ELSE coalesce(k2, 'unknown') END", "phase": _PHASE,
         "why_not": _REASON},
    )  # fmt: skip
    return SharedExpressions(
        layers=tuple(tuple(layer.items()) for layer in layers),
        seen=(
            ("ending", "'completed'"),
            ("category", "NULL"),
            ("kind", "NULL"),
            ("phase", "NULL"),
            ("why_not", "NULL"),
        ),
        plain=PLAIN,
    )


def original_sql(column: str, now: str) -> str:
    """SQL that keeps the value of ``column`` where ``now``, a shared expression, replaces it."""
    replaced = f"{column} IS NOT NULL AND {column} COLLATE BINARY IS NOT {now}"
    return f"CASE WHEN {replaced} THEN {column} ELSE {column}_original END"
