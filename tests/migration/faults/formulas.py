"""Migrations that are wrong on purpose, each in its own way, and the real ones."""

from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.migration.model import ColumnChange, Migration
from llm_metrics_proxy.safe_migrations import MIGRATIONS, migrate_to_version_2_0_0
from tests.migration.chain import chain

# In a file of ordinary records there is exactly one with this response time.
SPECIAL_MS: Final = 4321.125
_RIGHT: Final = migrate_to_version_2_0_0().changes[0].expression


def _with_rate(expression: str) -> tuple[Migration, ...]:
    good = migrate_to_version_2_0_0()
    changes = (ColumnChange("tokens_per_second", expression), *good.changes[1:])
    return (good._replace(changes=changes, distrusted="0"),)


def _special(expression: str) -> tuple[Migration, ...]:
    return _with_rate(f"CASE WHEN response_time_ms = {SPECIAL_MS} THEN {expression} ELSE ({_RIGHT}) END")


FORMULAS: Final[dict[str, Sequence[Migration]]] = {
    "real": MIGRATIONS,
    "to 3": chain("2.0.0", "3.0.0"),
    "raises": _special("abs(-9223372036854775808)"),  # an integer overflow
    "off by a bit": _special(f"({_RIGHT}) * (1 + 2.220446049250313e-16)"),
    "a text": _special("'many'"),
    "an integer": _special("7"),
    "nothing": _special("NULL"),
    "everywhere": _with_rate("total_tokens * 1000.0 / response_time_ms + 1e-9"),
}
