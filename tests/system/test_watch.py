"""Alerts from the file to the receiver, through the whole product: told, told again after a restart, and reloaded."""

import http.client
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_serve import serving
from tests.proxy.client import Client, post
from tests.upstream import FakeUpstream, Send, error_response
from tests.waiting import wait_until
from tests.watch.test_webhook import Receiver

pytestmark = pytest.mark.system
ALERT = "[[alerts]]\nname = 'errors'\nmetric = 'error_rate'\nthreshold = 0.5\nwindow = '1h'\nwebhook = '{url}'\n"


def asked(host: str, path: str) -> Any:
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            assert response.status == 200
            return json.load(response)
    finally:
        connection.close()


def test_an_alert_is_told_once_over_restarts_and_rules_are_read_again(tmp_path: Path) -> None:
    file, flags = tmp_path / "f.toml", ("--config", str(tmp_path / "f.toml"), "--watch-interval-s", "1")
    failing = [Send(error_response(500, "no"))]
    with FakeUpstream(failing) as upstream, Receiver(200).running() as receiver:
        backend = f"backend = '{upstream.url}'\n"
        file.write_text(backend + ALERT.format(url=receiver.url))
        with serving(tmp_path, *flags) as (process, log, hosts):
            with Client(int(hosts["Proxy"].rpartition(":")[2])) as client:
                client.send(post())
                assert client.answer().status == 500
            wait_until(lambda: bool(receiver.got), "the message", 60, process=process, log=log)
        (told,) = receiver.got
        assert (told["alert"], told["state"], told["value"], told["n"]) == ("errors", "firing", 1.0, 1)

        with serving(tmp_path, *flags) as (process, log, hosts):

            def alert() -> Any:
                (found,) = asked(hosts["Metrics"], "/api/v1/alerts")["alerts"]
                return found

            wait_until(lambda: alert()["measured_at"] is not None, "a measurement", 60, process=process, log=log)
            assert alert()["phase"] == "firing"
            assert len(receiver.got) == 1
            file.write_text(backend + ALERT.format(url=receiver.url).replace("0.5", "1") + SLO)
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(receiver.got) == 2, "its end", 60, process=process, log=log)
            assert [each["state"] for each in receiver.got] == ["firing", "resolved"]

            def measured() -> bool:
                return [each["good_ratio"] for each in asked(hosts["Metrics"], "/api/v1/slos")["slos"]] == [0.0]

            wait_until(measured, "the objective", 60, process=process, log=log)
            assert "secret-path" not in log.read_text()


SLO = "[[slos]]\nname = 'answered'\nobjective = 0.9\n"
