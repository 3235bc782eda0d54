"""The daily hours in which a migration may work. Pure: the time is passed in.

A window is read on the clock on the wall, as a person means it. Where that clock jumps (daylight saving), so does the
window: an opening time that a day skips is reached at the jump, and an hour that a day has twice is open twice.
"""

from datetime import datetime, time
from typing import Final, NamedTuple, Self

_MINUTE_S: Final = 60
_LOOK_AHEAD: Final = 3 * 24 * 60  # minutes; a window opens every day, except a short one on the day that skips it


class DailyWindow(NamedTuple):
    """From ``opens`` up to, not including, ``closes``; it may go past midnight."""

    opens: time
    closes: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """``22:00-06:00``. Raises ``ValueError`` for anything that is not two different times of a day."""
        opens, _, closes = text.partition("-")
        window = cls(*(datetime.strptime(word.strip(), "%H:%M").time() for word in (opens, closes)))
        if window.opens == window.closes:
            raise ValueError(f"{text!r} begins where it ends")
        return window

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def contains(self, local: time | datetime) -> bool:
        """Whether the window is open when a clock on the wall shows ``local``."""
        shown = (local.time() if isinstance(local, datetime) else local).replace(tzinfo=None)
        if self.opens < self.closes:
            return self.opens <= shown < self.closes
        return shown >= self.opens or shown < self.closes

    def seconds_until_open(self, now: datetime) -> float:
        """Real seconds from ``now`` until a clock on the wall first shows a time inside; 0 if it does already.

        ``now`` without a zone is this system's local time; with one, the window is read in that zone.
        """
        if self.contains(now):
            return 0.0
        at = now.timestamp()
        minute = at // _MINUTE_S * _MINUTE_S
        for _ in range(_LOOK_AHEAD):  # every minute is asked: arithmetic on clock times would be wrong around a jump
            minute += _MINUTE_S
            if self.contains(datetime.fromtimestamp(minute, now.tzinfo)):
                return minute - at
        raise AssertionError(f"{self} never opens")
