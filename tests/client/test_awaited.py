"""The awaited client asks the same questions as the one that waits."""

import asyncio
import inspect
from typing import Any

import pytest

from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.client import ApiRefusedError, ApiUnreachableError, AsyncMetricsClient, MetricsClient, QueryError
from tests.analytics.database import Database
from tests.api.service import ports
from tests.client.conftest import TOKEN
from tests.client.served import answering, unused_url
from tests.client.test_waiting import BUSY, HOUR, WRONG, an_answer


def public(kind: type) -> dict[str, Any]:
    found = {name: inspect.signature(one) for name, one in vars(kind).items() if callable(one) and name[0] != "_"}
    return {name: [*one.parameters.values()] for name, one in found.items()}


ALONE = {"of_app"}  # an application is asynchronous


def test_both_have_the_same_questions() -> None:
    asked = {name: one for name, one in public(AsyncMetricsClient).items() if name not in ALONE}
    assert asked == public(MetricsClient)


def test_its_answers_are_the_same(url: str) -> None:
    async def asked() -> list[Any]:
        async with AsyncMetricsClient(url, TOKEN) as metrics:
            return [
                *await asyncio.gather(
                    metrics.query("requests,success_rate", by=["model"], **HOUR),
                    metrics.summary(**HOUR),
                    metrics.errors(**HOUR),
                    metrics.sessions(**HOUR),
                    metrics.session("session 0"),
                    metrics.changes(**HOUR),
                ),
                [item async for item in metrics.each_request(page=5, **HOUR)],
                (await metrics.records("model", **HOUR)).to_arrow(),
            ]

    with MetricsClient(url, TOKEN) as metrics:
        same = [
            metrics.query("requests,success_rate", by=["model"], **HOUR),
            metrics.summary(**HOUR),
            metrics.errors(**HOUR),
            metrics.sessions(**HOUR),
            metrics.session("session 0"),
            metrics.changes(**HOUR),
            list(metrics.each_request(page=5, **HOUR)),
            metrics.records("model", **HOUR).to_arrow(),
        ]
    assert asyncio.run(asked()) == same


def test_it_tries_again_and_gives_up_alike() -> None:
    async def asked(address: str) -> int:
        async with AsyncMetricsClient(address) as metrics:
            return len((await metrics.requests()).items)

    passing = (503, {"Retry-After": "0"}, BUSY)
    with answering(lambda number, _: passing if number == 0 else (200, {}, an_answer())) as (address, got):
        assert asyncio.run(asked(address)) == 0
    assert len(got) == 2
    with answering(lambda *_: passing) as (address, _), pytest.raises(ApiRefusedError, match="busy"):
        asyncio.run(asked(address))
    with pytest.raises(ApiUnreachableError, match="nothing answers"):
        asyncio.run(asked(unused_url()))


@pytest.mark.parametrize(("verb", "name", "wrong"), WRONG)
def test_an_argument_of_a_wrong_type_is_named_alike(verb: str, name: str, wrong: Any) -> None:
    async def asked() -> None:
        async with AsyncMetricsClient(unused_url()) as metrics:
            await getattr(metrics, verb)(**{name: wrong})

    with pytest.raises(QueryError, match=f"^{name}: .*give text"):
        asyncio.run(asked())


def test_one_that_is_closed_says_so() -> None:
    async def asked() -> None:
        metrics = AsyncMetricsClient()
        await metrics.close()
        await metrics.summary()

    with pytest.raises(QueryError, match="this client is closed: make a new one"):
        asyncio.run(asked())


def test_an_application_in_this_process_is_asked_without_a_network(database: Database) -> None:
    async def asked() -> int:
        async with AsyncMetricsClient.of_app(create_app(ports(database))) as metrics:
            return (await metrics.summary(**HOUR)).requests

    assert asyncio.run(asked()) == 12
