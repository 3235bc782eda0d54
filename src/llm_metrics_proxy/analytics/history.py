"""What an answer lacks while older records are carried over into the table that answers, and where that was left."""

from typing import TypeVar

import msgspec

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.analytics.records import Carried, Records

_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Older records that no answer counts yet."""

    carried: int  # records that are there
    records: int  # of so many
    share: float  # 0 to 1
    complete_from: str | None  # from then on no record is missing; ISO 8601 in UTC, null: not known yet
    stopped: str | None  # why nobody carries the rest over: null while it goes on
    text: str  # the same for people, and what to do


def with_history(answer: _Answer, records: Records) -> _Answer:
    """An answer, which has a field ``history``, with what it lacks. Raises ``StoreError``."""
    history = history_of(records.carried())
    return answer if history is None else msgspec.structs.replace(answer, history=history)


def history_of(carried: Carried | None) -> History | None:
    """What an answer has to say; ``None``: every record is there."""
    if carried is None:
        return None
    complete_from = None if carried.complete_from is None else stored_time(carried.complete_from)
    share = carried.records / carried.of_records if carried.of_records else 1.0
    return History(
        carried=carried.records,
        records=carried.of_records,
        share=share,
        complete_from=complete_from,
        stopped=carried.stopped,
        text=_in_words(carried, share, complete_from),
    )


def _in_words(carried: Carried, share: float, complete_from: str | None) -> str:
    if carried.stopped is not None:
        return (
            f"{carried.of_records - carried.records:,} older records are not in the answers: {carried.stopped}. They "
            "are unchanged in the database. `llm-metrics-proxy migrate status` says more, `migrate run` tries again."
        )
    since = f"; answers are complete from {complete_from[:19]}Z on" if complete_from is not None else ""
    return (
        f"Older records are being carried over, the newest first: {carried.records:,} of {carried.of_records:,} "
        f"({share:.0%}) are in the answers{since}."
    )
