"""The client that is awaited."""

import asyncio
from collections.abc import AsyncIterator, Sequence
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


class AsyncMetricsClient:
    """Asks one metrics API within one event loop; an async context manager, or ``close`` it. As ``MetricsClient``."""

    def __init__(
        self,
        url: str = exchange.DEFAULT_URL,
        token: str | None = None,
        *,
        timeout_s: float = exchange.TIMEOUT_S,
        attempts: int = 3,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = exchange.address(url)
        self._attempts = given.attempts(attempts)
        self._http = httpx2.AsyncClient(**exchange.options(url, token, timeout_s), transport=transport)

    @classmethod
    def of_app(cls, app: Any) -> Self:
        """Asks an ASGI application in this process, without a network."""
        return cls("http://localhost", attempts=1, transport=httpx2.ASGITransport(app))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def query(
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
        return await self.ask(questions.query(selection, _now(), metrics, by, slo, **shape))

    async def summary(self, **selection: Unpack[RecordSelection]) -> Summary:
        """What the selected records amount to."""
        return await self.ask(questions.summary(selection, _now()))

    async def errors(self, *, examples: int = 10, **selection: Unpack[RecordSelection]) -> Errors:
        """What went wrong, how often, since when, and what to do about it."""
        return await self.ask(questions.errors(selection, _now(), examples))

    async def requests(
        self,
        *,
        limit: int = 100,
        order: str | None = None,
        cursor: str | None = None,
        **selection: Unpack[RecordSelection],
    ) -> RecordPage:
        """A page of records, the newest first; ``order``: a column, descending with ``-`` in front."""
        return await self.ask(questions.requests(selection, _now(), limit, order, cursor))

    async def each_request(
        self, *, order: str | None = None, page: int = 1000, **selection: Unpack[RecordSelection]
    ) -> AsyncIterator[dict[str, Any]]:
        """Every selected record, page after page."""
        now, cursor = _now(), None
        while True:
            found = await self.ask(questions.requests(selection, now, page, order, cursor))
            for item in found.items:
                yield item
            cursor = found.next_cursor
            if cursor is None:
                return

    async def records(
        self, columns: str | Sequence[str] | None = None, **selection: Unpack[RecordSelection]
    ) -> ExportedRecords:
        """Every selected record at once, typed, as a Parquet file in memory."""
        response = await self._get("export", questions.exported(selection, _now(), columns))
        return ExportedRecords(response.content)

    async def sessions(
        self,
        *,
        order: str = "-total_tokens",
        limit: int = 50,
        cursor: str | None = None,
        **selection: Unpack[RecordSelection],
    ) -> SessionTable:
        """A page of sessions that have a selected record; each is shown whole."""
        return await self.ask(questions.sessions(selection, _now(), order, limit, cursor))

    async def session(self, session_id: str, *, limit: int = 1000) -> SessionDetail:
        """One session: its requests, its agents, and where time and money went."""
        return await self.ask(questions.session(exchange.quoted, session_id, limit))

    async def changes(self, *, timezone: str = "UTC", limit: int = 6, **selection: Unpack[RecordSelection]) -> Changes:
        """What changed since the period before: of the last 24 hours, unless ``since`` says otherwise."""
        return await self.ask(questions.changes(selection, _now(), timezone, limit))

    async def costs(
        self, by: str | Sequence[str] = "model", *, timezone: str = "UTC", **selection: Unpack[RecordSelection]
    ) -> Costs:
        """What it costs: this month, its projection, the last twelve, and by ``by``."""
        return await self.ask(questions.costs(selection, _now(), by, timezone))

    async def ask(self, question: Question[Answer]) -> Answer:
        """Any question of ``questions``, or one of your own."""
        return exchange.read(question, await self._get(question.path, question.parameters))

    async def _get(self, name: str, parameters: Parameters) -> httpx2.Response:
        """An answer that is no error."""
        trial = exchange.Trial(self.url, self._attempts)
        while True:
            if self._http.is_closed:
                raise exchange.closed()
            try:
                response = await self._http.get(exchange.path(name), params=exchange.encoded(parameters))
            except httpx2.RequestError as fault:
                pause_s = trial.broke(fault)
            else:
                wait_s = trial.answered(response)
                if wait_s is None:
                    return response
                pause_s = wait_s
            await asyncio.sleep(pause_s)


def _now() -> datetime:
    return datetime.now(UTC)
