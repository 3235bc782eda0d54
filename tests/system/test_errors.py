"""A server that fails in three ways, and what ``errors``, the API and Prometheus say of it afterwards."""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.proxy.client import STREAMED_CHAT, post
from tests.stack import Stack
from tests.system.house import kill
from tests.system.scraper import scrape, total
from tests.upstream import FakeUpstream
from tests.upstream.conversation import Request
from tests.upstream.replies import CHUNKED, EVENT_STREAM, chat_events, chunk, error_response, head
from tests.upstream.server import openai_handler
from tests.upstream.steps import Close, Script, Send, Stall
from tests.waiting import wait_until

pytestmark = pytest.mark.system

_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")
_LIMITED: Final = error_response(
    429, "Rate limit reached.", ("retry-after", "2"), type_="requests", code="rate_limit_exceeded"
)
_TOO_LONG: Final = error_response(
    400,
    "This model's maximum context length is 8 tokens.",
    type_="invalid_request_error",
    code="context_length_exceeded",
)
_BY_MODEL: Final[dict[str, Script]] = {
    "limited": [Send(_LIMITED)],
    "small": [Send(_TOO_LONG)],
    "broken": [Send(head(200, EVENT_STREAM, CHUNKED)), Send(b"".join(map(chunk, chat_events()[:2]))), Close()],
}
EXPECTED: Final = {
    ("limit", "rate_limit"): "limited",
    ("request", "context_length"): "small",
    ("stream", "truncated"): "broken",
}


def fails_by_model(request: Request) -> Script:
    return _BY_MODEL.get(request.json().get("model")) or openai_handler(request)


def ask(proxy_url: str, model: str) -> None:
    """A streamed chat completion; however it ends."""
    connection = http.client.HTTPConnection(urlsplit(proxy_url).netloc, timeout=20)
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]})
    try:
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
            connection.getresponse().read()
    finally:
        connection.close()


def test_three_kinds_of_failures_are_told_apart_wherever_one_looks(tmp_path: Path) -> None:
    with FakeUpstream(fails_by_model) as upstream, Stack(upstream.url, tmp_path) as stack:
        for model in ("limited", "limited", "small", "broken", "fine", "fine"):
            ask(stack.proxy_url, model)
        stack.records(6)

        answer = stack.get("/api/v1/errors", examples="3")
        assert (answer["requests"], answer["errors"], answer["unclassified"]) == (6, 4, 0)
        found = {(one["category"], one["type"]): one for one in answer["types"]}
        assert {kind: one["n"] for kind, one in found.items()} == {
            kind: 2 if model == "limited" else 1 for kind, model in EXPECTED.items()
        }
        assert all(one["meaning"] and one["advice"] for one in found.values())
        assert {one["model"]: (one["n"], one["requests"]) for one in answer["models"]} == {
            "limited": (2, 2),
            "small": (1, 1),
            "broken": (1, 1),
        }
        (wait,) = answer["retry"]
        assert (wait["model"], wait["wait_ms"], wait["n"], wait["wait_source"]) == ("limited", 2000.0, 2, "retry_after")
        assert [example["model"] for example in answer["examples"]] == ["broken", "small", "limited"]
        assert sum(bucket["n"] for bucket in answer["buckets"]) == 4
        for (category, kind), model in EXPECTED.items():
            records = stack.get("/api/v1/requests", error_category=category, error_type=kind)["items"]
            assert {record["model"] for record in records} == {model}

        port = urlsplit(stack.metrics_url).port
        assert port is not None
        wait_until(lambda: total(scrape(port), "llm_proxy_requests_total") == 6, "counters of six requests")
        samples = scrape(port)
        assert total(samples, "llm_proxy_errors_total") == 4
        for category, kind in EXPECTED:
            n = total(samples, "llm_proxy_errors_total", error_category=category, error_type=kind)
            assert n == found[category, kind]["n"]

        lines = [line.split() for line in run("errors", stack.data_dir).splitlines()]
        assert lines[0] == ["Errors", "4", "of", "6", "requests", "(66.67%)"]
        for (category, kind), one in found.items():
            (line,) = [line for line in lines if line[:2] == [category, kind]]
            assert line[2] == str(one["n"])
            assert " ".join(line).endswith(" ".join(one["advice"].split()))
        whole: dict[str, Any] = json.loads(run("errors", stack.data_dir, "--json"))
        assert whole["types"] == answer["types"]
        assert "context_length" in run("requests", stack.data_dir, "--error-category", "request")


def test_a_worker_that_dies_leaves_an_error_of_the_proxy_for_each_open_request(tmp_path: Path) -> None:
    with FakeUpstream([Stall()]) as upstream, Stack(upstream.url, tmp_path) as stack:
        with socket.create_connection((urlsplit(stack.proxy_url).hostname, urlsplit(stack.proxy_url).port)) as client:
            client.sendall(post(STREAMED_CHAT))
            upstream.wait_for_requests(1)
            for pid in stack.worker_pids():
                kill(pid)
            (record,) = stack.records(1, timeout_s=30)
        assert (record["outcome"], record["success"], record["error_phase"]) == ("proxy_crashed", False, None)
        (found,) = stack.get("/api/v1/errors")["types"]
        assert (found["category"], found["type"], found["n"]) == ("proxy", "crashed", 1)


def run(verb: str, data_dir: Path, *flags: str) -> str:
    command = [str(_PROGRAM), verb, "--data-dir", str(data_dir), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
