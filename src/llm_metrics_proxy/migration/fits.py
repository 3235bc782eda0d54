"""Whether a value fits its column in our table, and what becomes of one that does not. SQL alone, text in and text out.

Nearly every value fits, so nothing may be asked of each that SQLite does not ask anyway. A record is inserted as if all
of it fits: STRICT refuses the classes that do not, and ``guard`` refuses what STRICT would let pass or convert. A batch
that was refused is inserted once more with ``fitted`` values, which takes longer.
"""

from collections.abc import Mapping
from typing import Final

from llm_metrics_proxy.migration.old_table import UNTYPED, OldTable
from llm_metrics_proxy.migration.timestamps import is_normal_sql
from llm_metrics_proxy.record import REGISTRY

UNFIT: Final = "unfit_values"
REFUSED: Final = "x'00'"  # bytes, which no column of text takes
_FINITE: Final = "+{0} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"
_IS_NUMBER: Final = "typeof({0}) IN ('integer', 'real')"
_IN_64_BITS: Final = "{0} >= -9223372036854775808 AND {0} < 9223372036854775808.0"
_IS_WHOLE: Final = (
    f"(typeof({{0}}) = 'integer' OR (typeof({{0}}) = 'real' AND {_IN_64_BITS} AND CAST({{0}} AS INTEGER) = {{0}}))"
)
_IS_TEXT: Final = "(typeof({0}) = 'text' AND is_unicode(CAST({0} AS BLOB)))"
# By what a column holds: SQL, 1 if the value fits. NULL always does.
_FITS: Final[dict[str, str]] = {
    "integer": _IS_WHOLE,
    "number": f"({_IS_NUMBER} AND {_FINITE})",
    "flag": f"({_IS_NUMBER} AND +{{0}} IN (0, 1))",
    "text": _IS_TEXT,
    "time": f"(octet_length({{0}}) = 27 AND {is_normal_sql('{0}')})",
    "any": "(typeof({0}) <> 'text' OR is_unicode(CAST({0} AS BLOB)))",
}
# What is left of text that is no Unicode.
_REPAIRED: Final = "iif(typeof({0}) = 'text', repaired(CAST({0} AS BLOB)), NULL)"
_REPAIRABLE: Final = ("text", "any")


def fits(column: str, value: str) -> str:
    """SQL, 1 or 0: ``value``, a name, fits the column."""
    within = f" AND NOT {beyond}" if (beyond := _beyond(column, value)) else ""
    return f"({value} IS NULL OR {_filled(_FITS[REGISTRY[column].kind.holds], value)}{within})"


def _beyond(column: str, value: str) -> str:
    """SQL, true of a number out of the range of the column's kind, with which no sum is exact; empty: it has none."""
    kind = REGISTRY[column].kind
    if kind.holds != "integer" or kind.least is None:
        return ""
    return f"({value} NOT BETWEEN {kind.least} AND {kind.most})"


def fitted(column: str, value: str) -> str:
    """SQL of what the column gets for ``value``, a name."""
    holds = REGISTRY[column].kind.holds
    otherwise = _filled(_REPAIRED, value) if holds in _REPAIRABLE else "NULL"
    return f"CASE WHEN {fits(column, value)} THEN {value} ELSE {otherwise} END"


def guard(column: str, value: str, table: OldTable) -> str:
    """SQL, true if ``value``, a name, may be one that STRICT stores though it does not fit; empty: there is none."""
    holds, theirs = REGISTRY[column].kind.holds, table.affinities.get(column)
    if holds == "flag":
        return f"{value} NOT IN (0, 1)"
    if holds == "number":
        texts = f" OR typeof({value}) = 'text'" if theirs == UNTYPED and not table.is_ours else ""
        return f"NOT ({_filled(_FINITE, value)}){texts}"
    if holds == "integer":
        texts = f"typeof({value}) = 'text'" if theirs == UNTYPED and not table.is_ours else ""
        return " OR ".join(filter(None, (texts, _beyond(column, value))))
    if table.is_ours or theirs is None:
        return ""
    if holds == "time":
        return f"{value} IS NOT NULL AND NOT {_filled(_FITS['time'], value)}"
    return _filled(_IS_NUMBER, value) if theirs == UNTYPED and holds == "text" else ""


def text_guard(columns: Mapping[str, str], table: OldTable) -> str:
    """SQL, true if any of these texts is no Unicode; plain ASCII costs little. ``columns``: values by column."""
    texts = [
        value
        for name, value in columns.items()
        if REGISTRY[name].kind.holds in _REPAIRABLE
        and (name in table.names or (name.endswith("_original") and name != "timestamp_original"))
    ]
    if table.is_ours or not texts:
        return ""
    # one look at all of them; GLOB would see no further than a NUL
    all_plain = f"replace(concat_ws(' ', {', '.join(texts)}), char(0), char(1)) NOT GLOB '*[^ -~]*'"
    each = " AND ".join(f"is_unicode(CAST({text} AS BLOB))" for text in texts)
    return f"NOT ({all_plain} OR ({each}))"


def unfit_object(values: Mapping[str, str], *, known: Mapping[str, str], refused: Mapping[str, str]) -> str:
    """SQL of the JSON object of what does not fit; ``values``: names by column. By column too: SQL of when it is
    ``known`` from elsewhere what stood there, and of when a value that fits is ``refused``."""
    good = {
        name: f"(({fits(name, value)} OR {known.get(name, '0')}) AND NOT {refused.get(name, '0')})"
        for name, value in values.items()
    }
    given = (
        f"iif({good[name]}, NULL, '{name}'), typeof({value}), "
        f"iif(typeof({value}) = 'text', CAST({value} AS BLOB), {value})"
        for name, value in values.items()
    )
    return f"CASE WHEN {' AND '.join(good.values())} THEN NULL ELSE unfit_object({', '.join(given)}) END"


def _filled(template: str, value: str) -> str:
    return template.replace("{0}", value)
