"""The whole product with its records in ClickHouse: as a user starts it, while the server goes away and comes back."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.clickhouse.server import PASSWORD, ClickHouseServer, clickhouse_server, statement
from tests.system.house import House, kill
from tests.system.kinds import handler
from tests.system.scraper import scrape, total
from tests.upstream import FakeUpstream
from tests.waiting import wait_until

pytestmark = pytest.mark.system
_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with clickhouse_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, server: ClickHouseServer) -> Iterator[House]:
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    with FakeUpstream(handler) as upstream:
        flags = ("--store", server.url(user="guarded"), "--store-password-file", str(password), "--host-name", "here")
        yield House(tmp_path, upstream, *flags)


def stored(server: ClickHouseServer) -> list[str]:
    return statement(server, "SELECT request_id FROM completion_requests WHERE host = 'here'").split()


def test_clients_notice_nothing_of_a_server_that_goes_away_and_no_record_is_lost(
    house: House, server: ClickHouseServer, tmp_path: Path
) -> None:
    with house.live() as stack, house.load("plain", "stream", "error", clients=6, pause_s=0.02) as load:
        wait_until(lambda: len(stored(server)) > 50, "records are in ClickHouse")
        assert house.health()["status"] == "ok"
        server.kill()
        wait_until(lambda: "wait in the outbox: ClickHouse" in str(house.health()["reasons"]), "a word")
        samples = scrape(house.metrics_port)
        assert total(samples, "llm_proxy_shipping_up") == 0
        wait_until(lambda: total(scrape(house.metrics_port), "llm_proxy_outbox_records") > 50, "records wait")
        wait_until(lambda: "records wait for ClickHouse: ClickHouse at" in stack.log.read_text(), "the log tells it")
        kill(*stack.metrics_pids())  # its successor finds nobody there
        time.sleep(1)
        doctor = _doctor(house, tmp_path)
        assert doctor["store"]["status"] == "failed"
        assert "cannot be reached: Connection refused" in doctor["store"]["found"]
        assert "wait for the store" in doctor["outbox"]["found"]
        server.start()
        notes = load.stop()
        wait_until(lambda: house.health()["status"] == "ok", house.health)
        expected = sorted(note.request_id for note in notes if note.request_id is not None)
        wait_until(lambda: len(stored(server)) >= len(expected), lambda: (len(stored(server)), len(expected)))
        assert total(scrape(house.metrics_port), "llm_proxy_shipping_up") == 1
        newest = stack.get("/api/v1/requests", limit="1")["items"][0]
        assert newest["host"] == "here"
        settings = json.dumps(stack.get("/api/v1/settings"))
        assert "guarded@127.0.0.1" in settings
        assert PASSWORD not in settings
        assert _doctor(house, tmp_path)["store"]["status"] == "ok"
    assert sorted(stored(server)) == expected
    logs = "".join(log.read_text() for log in tmp_path.glob("serve-*.log"))
    assert PASSWORD not in logs


def _doctor(house: House, folder: Path) -> dict[str, dict[str, str]]:
    command = (str(_PROGRAM), "doctor", "--json", "--data-dir", str(house.data_dir), *house.flags)
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout)
    return {each["check"]: each for each in found["findings"]}
