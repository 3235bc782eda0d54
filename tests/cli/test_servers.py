"""``servers`` on a real database."""

import json
import time

import pytest

from llm_metrics_proxy.storage.sampled import GPU, SERVER, Gauge, ServerSample
from llm_metrics_proxy.storage.server_samples import SampleStore
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("store")


def _say(store: SqliteStore) -> None:
    at = int(time.time()) // 60 * 60 - 60
    samples = SampleStore(store.path)
    said = {
        "running": Gauge(12, 1, 36, 8, 12), "waiting": Gauge(12, 0, 24, 7, 9),
        "kv_cache_ratio": Gauge(12, 0, 6, 0.75, 0),
    }  # fmt: skip
    used = {"utilisation_ratio": Gauge(1, 0.9, 0.9, 0.9, 0), "memory_used_bytes": Gauge(1, 2**34, 2**34, 2**34, 1)}
    samples.add(
        [
            ServerSample(60, at, SERVER, "[red]box", 12, 12, said, {}, ("qwen",)),
            ServerSample(60, at, GPU, "0: RTX", 1, 1, {**used, "memory_bytes": Gauge(1, 2**35, 2**35, 2**35, 1)}, {}),
        ]
    )
    samples.close()


def test_a_sentence_and_the_numbers_of_each_server(cli: Cli, store: SqliteStore) -> None:
    _say(store)
    out = cli("servers").out
    assert "[red]box" in out
    assert "Saturated: requests waited in its queue for 75% of the time (at most 7)." in out
    row = next(line.split() for line in out.splitlines() if line.split()[:2] == ["[red]box", "3"])
    assert row == ["[red]box", "3", "2", "75.00%", "75.00%", "-", "100.00%", "-", "-", "-", "qwen"]
    assert "16.0 of 32.0 GiB" in out


def test_json_is_the_answer_of_the_api(cli: Cli, store: SqliteStore) -> None:
    _say(store)
    answer = json.loads(cli("servers", "--json", "--since", "2h").out)
    assert [server["name"] for server in answer["servers"]] == ["[red]box"]
    assert answer["servers"][0]["totals"]["waiting_mean"] == 2
    assert json.loads(cli("servers", "--json", "--until", "1h", "--since", "2h").out)["servers"] == []


def test_where_nothing_was_said_it_says_what_to_do(cli: Cli) -> None:
    ran = cli("servers")
    assert (ran.code, "docs/topics/servers.md" in ran.out) == (0, True)


@pytest.mark.parametrize("wrong", [("--since", "soon"), ("--since", "1h", "--until", "2h")])
def test_a_wrong_range_is_named(cli: Cli, wrong: tuple[str, ...]) -> None:
    ran = cli("servers", *wrong)
    assert ran.code != 0
    assert ran.out == ""
    assert "Traceback" not in ran.err
