"""``--log-level debug`` reaches both processes: stations of requests from workers, SQL from the metrics process."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.proxy.client import Client, post
from tests.stack import Stack
from tests.upstream import FakeUpstream
from tests.waiting import wait_until

pytestmark = pytest.mark.system
SECRET = b'{"model":"fake-1","messages":[{"role":"user","content":"a-secret-question"}]}'


@pytest.mark.parametrize(("level", "is_debug"), [("debug", True), ("info", False)])
def test_the_level_reaches_workers_and_the_metrics_process(tmp_path: Path, level: str, is_debug: bool) -> None:
    with FakeUpstream() as upstream, Stack(upstream.url, tmp_path, "--log-level", level) as stack:
        port = urlsplit(stack.proxy_url).port
        assert port is not None
        with Client(port) as client:
            client.send(post(SECRET))
            assert client.answer().status == 200
        [record] = stack.records(1)
        station = f"worker-0: request {record['request_id']}: accepted POST /v1/chat/completions"
        if is_debug:
            wait_until(lambda: "INSERT INTO" in stack.log.read_text(), "a logged statement")
        log = stack.log.read_text()
    assert (station in log) == is_debug
    assert bool(re.search(r" debug metrics: sql: [\d.]+ ms", log)) == is_debug
    assert "a-secret-question" not in log
