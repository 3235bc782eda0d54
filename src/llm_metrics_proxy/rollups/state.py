"""How far records are rolled up: one small value beside the roll-ups. ``storage.rollup_state`` has the rules."""

import hashlib
from typing import Any, Final

import msgspec

from llm_metrics_proxy.rollups.grains import GRAINS, LEVELS, GrainLevel, RollupLevel
from llm_metrics_proxy.rollups.values import FIELDS, KEYS

NOTHING: Final = -(2**63)
READ_STATE: Final = "SELECT tables, cursor_id, epoch, clearing, kept_before, kept_through_id FROM rollup_state"


class RollupState(msgspec.Struct, frozen=True, kw_only=True):
    """``tables``: fingerprint of the tables by which records were rolled up. Times are seconds since 1970."""

    tables: str = ""
    cursor_id: int = NOTHING
    epoch: int = 0
    clearing: bool = False
    kept_before: int = NOTHING
    kept_through_id: int = NOTHING

    @classmethod
    def of(cls, rows: list[tuple[Any, ...]]) -> "RollupState":
        """What ``READ_STATE`` found; that of a fresh file where it found nothing."""
        if not rows:
            return cls()
        tables, cursor_id, epoch, clearing, kept_before, kept_through_id = rows[0]
        return cls(
            tables=tables,
            cursor_id=cursor_id,
            epoch=epoch,
            clearing=bool(clearing),
            kept_before=kept_before,
            kept_through_id=kept_through_id,
        )

    @property
    def is_current(self) -> bool:
        """The roll-ups are what this program would make of the same records."""
        return self.tables == FINGERPRINT and not self.clearing


def _fingerprint() -> str:
    """Of everything that decides what a row of the roll-ups holds.

    The text has the types' names of 4.0.0: with another one, every database would roll up its records again.
    """
    fields = [(field.number, field.name, field.sql) for field in FIELDS]
    text = repr((LEVELS, GRAINS, fields, sorted(KEYS.items())))
    text = text.replace(f"{RollupLevel.__name__}(", "Level(").replace(f"{GrainLevel.__name__}(", "Kept(")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


FINGERPRINT: Final = _fingerprint()
