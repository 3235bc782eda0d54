"""How far records are rolled up: one row next to the roll-ups. ``storage.rollup_state`` has the rules."""

import hashlib
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.record import READABLE
from llm_metrics_proxy.rollups.grains import GRAINS, LEVELS
from llm_metrics_proxy.rollups.values import FIELDS, KEYS

NOTHING: Final = -(2**63)
READ_STATE: Final = "SELECT tables, cursor_id, epoch, clearing, kept_before, kept_through_id FROM rollup_state"


class RollupState(NamedTuple):
    """The row, in its order. ``tables``: fingerprint of the tables that were used. Times are seconds since 1970."""

    tables: str = ""
    cursor_id: int = NOTHING
    epoch: int = 0
    clearing: bool = False
    kept_before: int = NOTHING
    kept_through_id: int = NOTHING

    @classmethod
    def of(cls, rows: list[tuple[Any, ...]]) -> "RollupState":
        """What ``READ_STATE`` found; that of a fresh file where it found nothing."""
        state = cls(*rows[0]) if rows else cls()
        return state._replace(clearing=bool(state.clearing))

    @property
    def is_current(self) -> bool:
        """The roll-ups are what this program would make of the same records."""
        return self.tables == FINGERPRINT and not self.clearing


def _fingerprint() -> str:
    """Of everything that decides what a row of the roll-ups holds."""
    fields = [(field.number, field.name, READABLE[field.name].kind.name) for field in FIELDS]
    text = repr((LEVELS, GRAINS, fields, sorted(KEYS.items())))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


FINGERPRINT: Final = _fingerprint()
