"""A server that tells its own numbers is asked for them by `serve`, without a setting."""

from pathlib import Path

import pytest

from tests.servers import pages
from tests.servers.test_poller import page, serving
from tests.stack import Stack
from tests.upstream import FakeUpstream
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_a_server_on_this_machine_is_asked_for_its_own_numbers(tmp_path: Path) -> None:
    as_usual = {"LLM_METRICS_PROXY_SERVER_METRICS": "local"}
    with (
        FakeUpstream(serving({"/metrics": page(pages.VLLM_V1)})) as upstream,
        Stack(upstream.url, tmp_path, environment=as_usual) as stack,
    ):
        wait_until(lambda: stack.get("/api/v1/servers")["servers"][0].get("program") == "vLLM", "its numbers")
