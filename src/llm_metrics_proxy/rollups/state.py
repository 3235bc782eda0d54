"""How far records are rolled up: one row next to the roll-ups. ``storage.rollup_state`` has the rules."""

import hashlib
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.rollups.grains import GRAINS, LEVELS, GrainLevel, RollupLevel
from llm_metrics_proxy.rollups.values import ALL, FIELDS, KEYS

NOTHING: Final = -(2**63)
_OF_4_5_0: Final = range(32, 38)  # fields of columns that came then, rolled up from the first record with a value
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
    """Of everything that decides what a row of the roll-ups holds.

    The text keeps the names that types had in 4.0.0, and leaves out what changes nothing in records of before 4.5.0
    (none is ``repeated``, none has a value in a column of 4.5.0): a change would make every database roll up its
    records again.
    """
    known = [field for field in FIELDS if field.number not in _OF_4_5_0]
    fields = [(field.number, field.name, REGISTRY[field.name].stored_sql) for field in known]
    text = repr((LEVELS, GRAINS, fields, sorted(KEYS.items())))
    text = text.replace(repr(ALL), repr(tuple(field.number for field in known)))
    text = text.replace(f"{RollupLevel.__name__}(", "Level(").replace(f"{GrainLevel.__name__}(", "Kept(")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


FINGERPRINT: Final = _fingerprint()
