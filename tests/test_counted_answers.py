"""An answer's tokens are counted once: in records, roll-ups, counters, costs and live sums, whoever fetches it."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.live import arrived
from llm_metrics_proxy.analytics.source import Needs, QueryPlan, Source
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.engines.sqlite.records import SqliteRecords
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.engines.sqlite.rollup_source import RollupSource
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.ingestion.counted_answers import number_of
from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.pricing import Pricer
from llm_metrics_proxy.pricing.table import PriceRow
from llm_metrics_proxy.record import RequestRecord, UsageSource
from llm_metrics_proxy.storage import counted_answers
from llm_metrics_proxy.storage.base import CountedAnswer
from llm_metrics_proxy.storage.rollup_store import Folding
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.telemetry import facts, names
from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked
from tests.counted import snapshot
from tests.journal_parts import an_ended_record

TOKENS = {"prompt_tokens": 700, "completion_tokens": 90, "total_tokens": 790, "reasoning_tokens": 64}
MADE, FETCHED, SESSION = "openai_responses", "openai_responses_fetch", "openai_responses_websocket"
PRICES = [PriceRow(model="*", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)]
NAMES = frozenset({*TOKENS, "cost_usd", "upstream_cost_usd"})


def made(index: int, answer: str | None = "resp_1", *, reports: bool = True, **more: Any) -> RequestRecord:
    """The record of the request that made an answer."""
    counts: dict[str, Any] = {**TOKENS, "usage_source": UsageSource.REPORTED} if reports else {"total_tokens": None}
    timestamp = more.pop("timestamp", None)
    record = {"dialect": MADE, "model": "m", "response_id": answer, "upstream_cost_usd": 0.25 if reports else None}
    ended = an_ended_record(index, **{**record, **counts, **more})
    return replace(ended, timestamp=timestamp) if timestamp else ended


def fetched(index: int, answer: str | None = "resp_1", **more: Any) -> RequestRecord:
    """And of one that fetched it."""
    return made(index, answer, **{"dialect": FETCHED, **more})


class Sums(NamedTuple):
    """What each place that adds up says of total tokens, and of money in US dollars."""

    records: tuple[Any, Any]
    rollups: tuple[Any, Any]
    live: tuple[Any, Any]
    counters: tuple[int, float]


class Site:
    """A database behind two workers' journals."""

    def __init__(self, folder: Path, pricer: Pricer | None = None) -> None:
        self.folder, self.pricer = folder, pricer
        self.writers = {name: JournalWriter(folder / "journal", name) for name in ("00000001", "00000002")}
        self.start()

    def start(self) -> None:
        self.store = SqliteStore(self.folder / "metrics.db", after_insert=Folding(batches=1))
        self.reader = SqliteReader(self.folder / "metrics.db")
        self.book = CounterBook()
        self.ingestor = Ingestor(self.store, self.folder / "journal", self.book, pricer=self.pricer or Pricer())

    def restart(self) -> None:
        self.stop()
        self.start()
        self.ingestor.step()

    def stop(self) -> None:
        self.ingestor.stop(drain=False)
        self.reader.close()
        self.store.close()

    def told(self, *records: RequestRecord, worker: int = 1) -> None:
        writer = self.writers[f"{worker:08}"]
        for record in records:
            writer.opened(replace(record, outcome="", usage_source="none"))
            writer.closed(record)
        writer.flush()

    def stores(self, *records: RequestRecord, worker: int = 1) -> None:
        self.told(*records, worker=worker)
        while self.ingestor.step():
            pass

    def sources(self) -> list[str]:
        """Of usage, by record."""
        sql = "SELECT usage_source, total_tokens FROM completion_requests ORDER BY request_id"
        rows = self.reader.query(sql)
        assert {tokens for source, tokens in rows if source != "none"} <= {790}
        return [source for source, _ in rows]

    def sums(self) -> Sums:
        records = SqliteRecords(self.reader)
        everything = ArrivalRange(Arrivals(), records.newest())
        live = arrived(records, RequestFilter(), everything, 100).sums
        series = [each for _, each in snapshot(self.book)]
        upkeep = Upkeep(self.folder / "metrics.db", Retention(), batch_lock_ms=10, unix_s=time.time)
        while upkeep.step(leftovers=True) is not Worked.NOTHING:
            pass
        upkeep.close()
        return Sums(
            self._sum(RecordsSource(self.reader)),
            self._sum(RollupSource(self.reader)),
            (live.tokens["total_tokens"][1], live.cost_usd[1]),
            (sum(s.prompt_tokens + s.generation_tokens for s in series), sum(s.cost_usd for s in series)),
        )

    def _sum(self, source: Source) -> tuple[Any, Any]:
        plan = QueryPlan(filter=RequestFilter(), needs=Needs(moments=NAMES))
        assert source.can_answer(plan)
        ((((_, found),), *_),) = source.read([plan])
        money = found.moments("cost_usd").sum
        assert found.moments("upstream_cost_usd").sum == money
        return found.moments("total_tokens").sum, money


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.stop()
    for writer in site.writers.values():
        writer.close()


ONCE = Sums((790, 0.25), (790, 0.25), (790, 0.25), (790, 0.25))
R, AGAIN, NONE = UsageSource.REPORTED, UsageSource.REPEATED, UsageSource.NONE


@pytest.mark.parametrize(
    ("records", "sources"),
    [
        ([made(1, reports=False), fetched(2, reports=False), fetched(3), fetched(4)], [NONE, NONE, R, AGAIN]),
        ([fetched(1), fetched(2), fetched(3)], [R, AGAIN, AGAIN]),  # asked for elsewhere
        ([made(1), fetched(2)], [R, AGAIN]),
        ([made(1, dialect=SESSION), fetched(2)], [R, AGAIN]),
        ([made(1, is_streaming=True, reports=False), fetched(2, content_chunks=3)], [NONE, R]),
        ([fetched(1, dialect="openai_batch_fetch"), fetched(2, dialect="openai_batch_fetch")], [R, AGAIN]),
        (
            [
                made(1, dialect="anthropic_batch", reports=False),
                fetched(2, dialect="anthropic_batch_fetch"),
                fetched(3, dialect="anthropic_batch_fetch"),
            ],
            [NONE, R, AGAIN],
        ),
        ([made(1, dialect="openai_chat"), fetched(2, dialect="openai_chat_fetch")], [R, AGAIN]),
        ([made(1), fetched(2, dialect="openai_chat_fetch")], [R, AGAIN]),
    ],
)
@pytest.mark.parametrize("how", ["at once", "one by one", "with restarts", "by two workers"])
def test_however_often_it_is_fetched(site: Site, records: list[RequestRecord], sources: list[str], how: str) -> None:
    if how == "at once":
        site.stores(*records)
    for number, record in enumerate(records if how != "at once" else ()):
        site.stores(record, worker=number % 2 + 1 if how == "by two workers" else 1)
        if how == "with restarts":
            site.restart()
    assert site.sources() == sources
    assert site.sums() == ONCE
    assert [record.prompt_tokens for record in records] == [700 if source != NONE else None for source in sources]


def test_other_answers_and_other_dialects_count_for_themselves(site: Site) -> None:
    site.stores(made(1), made(2), fetched(3, "resp_2"), fetched(4, "resp_3"), made(5, dialect="openai_chat"))
    site.stores(fetched(6, None), fetched(7, None))  # without an id nobody can tell
    assert site.sources() == [R] * 7


def test_a_stream_that_ends_after_its_answer_was_fetched_does_not_count_again(site: Site) -> None:
    """Its record comes later, perhaps from another worker, though its request was first."""
    streamed = made(1, is_streaming=True, content_chunks=9)
    site.stores(fetched(2), worker=2)
    site.restart()
    site.stores(streamed)
    assert site.sources() == [AGAIN, R]
    site.stores(made(3))  # began later: another answer, whose id was used again
    assert site.sources() == [AGAIN, R, R]
    assert site.sums().counters[0] == 2 * 790


def test_in_one_batch_too(site: Site) -> None:
    site.told(fetched(2), worker=1)
    site.told(made(1), worker=2)
    site.told(fetched(3), worker=2)
    while site.ingestor.step():
        pass
    assert sorted(site.sources()) == [AGAIN, AGAIN, R]
    assert site.sums() == ONCE


def test_what_was_not_committed_is_judged_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreError("no")

    site.told(fetched(1), fetched(2))
    monkeypatch.setattr(site.store, "_keep", fails)
    with pytest.raises(StoreError):
        site.ingestor.step()
    monkeypatch.undo()
    site.stores()
    assert site.sources() == [R, AGAIN]
    assert site.sums() == ONCE


def test_an_answer_that_was_counted_has_no_price_again(tmp_path: Path) -> None:
    site = Site(tmp_path, Pricer(PRICES, use_public_lists=False))
    site.stores(made(1, reports=False), *(fetched(n, upstream_cost_usd=None) for n in (2, 3)))
    assert site.reader.query("SELECT cost_usd, cost_source FROM completion_requests ORDER BY arrival") == [
        (None, None), (pytest.approx(0.00088), "price_table"), (None, None),
    ]  # fmt: skip
    assert [series.not_priced for _, series in snapshot(site.book)] == [0]
    site.stop()


def test_another_price_list_gives_it_none_either() -> None:
    pricer = Pricer(PRICES, use_public_lists=False)
    for upstream in (None, 0.25):
        assert pricer.price(fetched(1, usage_source=AGAIN, upstream_cost_usd=upstream))[:2] == (None, None)
        assert pricer.price(fetched(1, usage_source=R, upstream_cost_usd=upstream))[0] is not None


def test_no_speed_is_calculated_of_what_was_only_fetched(site: Site) -> None:
    times: Any = {
        "time_to_first_token_ms": 5.0,
        "time_to_last_token_ms": 9.0,
        "content_chunks": 4,
        "is_streaming": True,
    }
    site.stores(made(1, **times), fetched(2, "resp_2", **times))
    rows = site.reader.query(
        "SELECT tokens_per_second, time_per_output_token_ms, output_tokens_per_second, time_to_first_token_ms "
        "FROM completion_requests ORDER BY arrival"
    )
    assert None not in rows[0]
    assert rows[1] == (None, None, None, 5.0)


def test_telemetry_reports_them_once_too() -> None:
    for source, reported in ((R, 2), (AGAIN, 0)):
        found = facts.measurements(fetched(1, usage_source=source), None, None)
        assert sum(each.instrument in (names.INPUT_TOKENS, names.OUTPUT_TOKENS) for each in found) == reported


def test_what_is_remembered_is_bounded_by_days(site: Site) -> None:
    day = datetime(2025, 1, 1, 12, tzinfo=UTC)
    for number in range(120):
        moment = f"{day + timedelta(days=number):%Y-%m-%dT%H:%M:%S.000000Z}"
        site.stores(made(number, f"resp_{number}", timestamp=moment))
        assert site.store.is_answer_counted(number_of(f"resp_{number}"), moment)
    rows = site.reader.query("SELECT day FROM counted_answers ORDER BY day")
    assert len(rows) == counted_answers.KEPT_DAYS + 1
    site.stores(fetched(500, "resp_85", timestamp=moment), fetched(501, "resp_2", timestamp=moment))
    assert site.sources()[-2:] == [AGAIN, R]


def test_the_newest_that_fetches_counted_are_known_after_a_start(site: Site) -> None:
    dice = random.Random(4)
    moments = {n: f"2025-06-0{1 + n // 10}T12:00:{n:02}.000000Z" for n in range(30)}
    answers = [CountedAnswer(n, moments[n], n % 3 == 0) for n in dice.sample(range(30), 30)]
    site.stores()
    counted_answers.keep(site.store._connection, answers)
    assert site.store.fetched_answers(100) == [(n, moments[n]) for n in range(27, 9, -3)]
    assert site.store.fetched_answers(2) == [(27, moments[27]), (24, moments[24])]
