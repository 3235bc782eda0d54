"""What servers said is left of their limits, by server and key: the newest word on each, and its last windows."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from llm_metrics_proxy.quotas.windows import MOST_WINDOWS, LimitWindow, Sample, with_word
from llm_metrics_proxy.quotas.words import LIMITS, QuotaLeft, says_nothing, words_of
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import StoredWindow, WindowChanges

MOST_KEYS: Final = 100  # pairs of a server and a key; the oldest give way
_Key = tuple[str, str]
_Windows = Mapping[str, tuple[LimitWindow, ...]]  # by limit, the oldest first


class QuotaBook:
    """The ingestion thread alone observes, takes changes and confirms; any thread may ask for the rest.

    What is shown is what is stored: a restart shows the same.
    """

    def __init__(self) -> None:
        self._published: Mapping[_Key, _Windows] = {}
        self._new: dict[_Key, _Windows] = {}

    def observe(self, record: RequestRecord) -> None:
        """Take what a record says. Most say nothing."""
        if says_nothing(record):
            return
        for word in words_of(record):
            key = (word.backend, word.api_key_id)
            known = self._new.get(key) or self._published.get(key, {})
            self._new[key] = {**known, word.limit: with_word(known.get(word.limit, ()), word)}

    def take_changes(self) -> WindowChanges:
        """What is to be stored with the records; the same again until it is confirmed."""
        if not self._new:
            return WindowChanges()
        changed, forgotten = [], []
        for key, by_limit in self._new.items():
            before = self._published.get(key, {})
            for limit, windows in by_limit.items():
                known = {_state(window) for window in before.get(limit, ())}
                changed += [_stored(window) for window in windows if _state(window) not in known]
                if len(windows) == MOST_WINDOWS:
                    forgotten.append((*key, limit, windows[0].first_at))
                if windows[-1].window_s is None:  # one row, whose first sample moves on
                    forgotten.append((*key, limit, windows[-1].first_at))
        gone = self._published.keys() - self._merged().keys()
        forgotten += [(*key, limit, _NEVER) for key in gone for limit in LIMITS]
        return WindowChanges(tuple(changed), tuple(forgotten))

    def confirm(self) -> None:
        """Those records are stored."""
        if self._new:
            self._published, self._new = self._merged(), {}

    def _merged(self) -> Mapping[_Key, _Windows]:
        all_keys = {**self._published, **self._new}
        while len(all_keys) > MOST_KEYS:
            del all_keys[min(all_keys, key=lambda key: max(each[-1].samples[-1].at for each in all_keys[key].values()))]
        return all_keys

    def load(self, rows: Iterable[StoredWindow]) -> None:
        """What is stored, in place of all that is known."""
        found: dict[_Key, dict[str, tuple[LimitWindow, ...]]] = {}
        for row in sorted(rows, key=lambda row: row.first_at):
            if (window := _read(row)) is not None:
                by_limit = found.setdefault((window.backend, window.api_key_id), {})
                by_limit[window.limit] = (*by_limit.get(window.limit, ()), window)[-MOST_WINDOWS:]
        self._published, self._new = found, {}

    def left(self, now: float) -> list[QuotaLeft]:
        """What still holds at ``now``, in Unix seconds, sorted by server and key."""
        return [window.newest for window in self.current(now)]

    def current(self, now: float) -> list[LimitWindow]:
        """The windows of what still holds, in the same order."""
        return [windows[-1] for windows in self.windows() if windows[-1].newest.is_current(now)]

    def windows(self) -> list[tuple[LimitWindow, ...]]:
        """The windows of each limit, the oldest first; limits by server, key, and kind."""
        published = self._published
        return [published[key][limit] for key in sorted(published) for limit in LIMITS if limit in published[key]]


_NEVER: Final = 1e15  # later than any window


def _state(window: LimitWindow) -> tuple[float, float, int]:
    """Another one whenever it has changed."""
    return window.first_at, window.samples[-1].at, len(window.samples)


def _stored(window: LimitWindow) -> StoredWindow:
    samples = msgspec.json.encode(window.samples)
    last_at, length_s = window.samples[-1].at, window.window_s
    key = (window.backend, window.api_key_id, window.limit)
    return StoredWindow(*key, window.first_at, last_at, window.resets_at, length_s, samples)


def _read(row: StoredWindow) -> LimitWindow | None:
    """``None``: it is not what this version writes; it says nothing that the next answer does not say again."""
    try:
        samples = msgspec.json.decode(row.samples, type=tuple[Sample, ...])
    except msgspec.DecodeError:
        return None
    if not samples or row.limit not in LIMITS:
        return None
    return LimitWindow(
        backend=row.backend,
        api_key_id=row.api_key_id,
        limit=row.limit,
        window_s=row.window_s,
        resets_at=row.resets_at,
        samples=samples,
    )
