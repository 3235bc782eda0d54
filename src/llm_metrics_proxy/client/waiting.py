"""The client that waits for each answer."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, Unpack

import httpx2

from llm_metrics_proxy.analytics.changes import Changes
from llm_metrics_proxy.analytics.costs import Costs
from llm_metrics_proxy.analytics.error_answer import Errors
from llm_metrics_proxy.analytics.session_detail import SessionDetail
from llm_metrics_proxy.analytics.summary import Summary
from llm_metrics_proxy.client import exchange, given, questions
from llm_metrics_proxy.client.answers import ExportedRecords, QueryResult, RecordPage, SessionTable
from llm_metrics_proxy.client.questions import Answer, Parameters, Question, RecordSelection


class MetricsClient:
    """Asks one metrics API. From any thread; a context manager, or ``close`` it.

    ``url``: as in a browser, a prefix included, but without user and password. ``token``: ``metrics_token`` or one of
    ``[[tokens]]``, if the settings have any. ``attempts``: how often what passes by itself is tried. Methods raise
    ``QueryError`` for what is wrong before it is asked, ``ApiRefusedError`` for what the API refuses,
    ``ApiUnreachableError`` where nothing answers, and ``UnknownAnswerError``. An address that is none is an
    ``ApiUnreachableError``, another wrong argument a ``QueryError``, both at once.
    """

    def __init__(
        self,
        url: str = exchange.DEFAULT_URL,
        token: str | None = None,
        *,
        timeout_s: float = exchange.TIMEOUT_S,
        attempts: int = 3,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = exchange.address(url)
        self._attempts = given.attempts(attempts)
        self._http = httpx2.Client(**exchange.options(url, token, timeout_s), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def query(
        self,
        metrics: str | Sequence[str] = "requests",
        by: str | Sequence[str] = (),
        *,
        bucket: str | None = None,
        timezone: str = "UTC",
        order: str | None = None,
        limit: int = 100,
        compare: bool = False,
        slo: str | Sequence[str] = (),
        week_start: str = "monday",
        **selection: Unpack[RecordSelection],
    ) -> QueryResult:
        """Any ``metrics`` by any dimensions: names separated by commas, or lists. As docs/topics/analytics.md says."""
        shape: dict[str, Any] = {
            "bucket": bucket, "timezone": timezone, "order": order, "limit": limit, "compare": compare,
            "week_start": week_start,
        }  # fmt: skip
        return self.ask(questions.query(selection, _now(), metrics, by, slo, **shape))

    def summary(self, **selection: Unpack[RecordSelection]) -> Summary:
        """What the selected records amount to."""
        return self.ask(questions.summary(selection, _now()))

    def errors(self, *, examples: int = 10, **selection: Unpack[RecordSelection]) -> Errors:
        """What went wrong, how often, since when, and what to do about it."""
        return self.ask(questions.errors(selection, _now(), examples))

    def requests(
        self,
        *,
        limit: int = 100,
        order: str | None = None,
        cursor: str | None = None,
        **selection: Unpack[RecordSelection],
    ) -> RecordPage:
        """A page of records, the newest first; ``order``: a column, descending with ``-`` in front."""
        return self.ask(questions.requests(selection, _now(), limit, order, cursor))

    def each_request(
        self, *, order: str | None = None, page: int = 1000, **selection: Unpack[RecordSelection]
    ) -> Iterator[dict[str, Any]]:
        """Every selected record, page after page."""
        now, cursor = _now(), None
        while True:
            found = self.ask(questions.requests(selection, now, page, order, cursor))
            yield from found.items
            cursor = found.next_cursor
            if cursor is None:
                return

    def records(
        self, columns: str | Sequence[str] | None = None, **selection: Unpack[RecordSelection]
    ) -> ExportedRecords:
        """Every selected record at once, typed, as a Parquet file in memory."""
        response = self._get("export", questions.exported(selection, _now(), columns))
        return ExportedRecords(response.content)

    def sessions(
        self,
        *,
        order: str = "-total_tokens",
        limit: int = 50,
        cursor: str | None = None,
        **selection: Unpack[RecordSelection],
    ) -> SessionTable:
        """A page of sessions that have a selected record; each is shown whole."""
        return self.ask(questions.sessions(selection, _now(), order, limit, cursor))

    def session(self, session_id: str, *, limit: int = 1000) -> SessionDetail:
        """One session: its requests, its agents, and where time and money went."""
        return self.ask(questions.session(exchange.quoted, session_id, limit))

    def changes(self, *, timezone: str = "UTC", limit: int = 6, **selection: Unpack[RecordSelection]) -> Changes:
        """What changed since the period before: of the last 24 hours, unless ``since`` says otherwise."""
        return self.ask(questions.changes(selection, _now(), timezone, limit))

    def costs(
        self, by: str | Sequence[str] = "model", *, timezone: str = "UTC", **selection: Unpack[RecordSelection]
    ) -> Costs:
        """What it costs: this month, its projection, the last twelve, and by ``by``."""
        return self.ask(questions.costs(selection, _now(), by, timezone))

    def ask(self, question: Question[Answer]) -> Answer:
        """Any question of ``questions``, or one of your own."""
        return exchange.read(question, self._get(question.path, question.parameters))

    def _get(self, name: str, parameters: Parameters) -> httpx2.Response:
        """An answer that is no error."""
        trial = exchange.Trial(self.url, self._attempts)
        while True:
            if self._http.is_closed:
                raise exchange.closed()
            try:
                response = self._http.get(exchange.path(name), params=exchange.encoded(parameters))
            except httpx2.RequestError as fault:
                pause_s = trial.broke(fault)
            else:
                wait_s = trial.answered(response)
                if wait_s is None:
                    return response
                pause_s = wait_s
            time.sleep(pause_s)


def _now() -> datetime:
    return datetime.now(UTC)
