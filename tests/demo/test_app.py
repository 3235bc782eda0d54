"""The demo server as OpenAI's own client sees it, and as a socket sees its faults."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

ASK: Any = {"model": "demo-small", "messages": [{"role": "user", "content": "Hello?"}]}
CALM = {"x-demo-fault": "none"}


@pytest.fixture
def client(demo_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo_url}/v1", api_key="any", max_retries=0) as client:
        yield client


def post(url: str, body: Any, fault: str = "none") -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"x-demo-fault": fault})
    return connection.getresponse(), connection


def test_a_chat_completion_counts_its_tokens_and_says_that_it_is_simulated(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**ASK, max_tokens=20)
    answer = raw.parse()
    assert raw.headers["x-demo-backend"] == "simulated"
    assert (answer.choices[0].message.content or "").startswith("This is a simulated answer.")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 20
    assert answer.choices[0].finish_reason == "length"


def test_a_streamed_chat_completion_arrives_in_pieces_with_usage_at_the_end(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(**ASK, stream=True, n=2, stream_options={"include_usage": True}))
    assert {chunk.choices[0].index for chunk in chunks if chunk.choices} == {0, 1}
    assert chunks[-1].usage is not None
    content = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert chunks[-1].usage.completion_tokens == len(content)


def test_tools_are_called(client: openai.OpenAI) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}},
    }
    answer = client.chat.completions.create(**ASK, tools=[tool], tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert set(json.loads(call.function.arguments)) == {"a"}


def test_completions_embeddings_and_models_are_served(client: openai.OpenAI) -> None:
    text = client.completions.create(model="demo-small", prompt="Once", max_tokens=3)
    assert text.choices[0].text == "This is a"
    vectors = client.embeddings.create(model="demo-embedding", input=["a", "b"])
    assert [len(vector.embedding) for vector in vectors.data] == [256, 256]
    assert "demo-large" in [model.id for model in client.models.list()]


def test_the_first_token_waits_for_the_prompt_and_the_others_for_each_other(client: openai.OpenAI) -> None:
    prompt = "x" * 4 * 6000  # a second at speed 1, 20 ms at speed 50
    started = time.monotonic()
    stream = client.chat.completions.create(
        model="demo-small", messages=[{"role": "user", "content": prompt}], stream=True, max_tokens=100
    )
    stamps = [time.monotonic() for chunk in stream if chunk.choices[0].delta.content]
    assert stamps[0] - started > 0.02
    assert stamps[-1] - stamps[0] > len(stamps) * 0.009 / 50 / 2


@pytest.mark.parametrize(("fault", "status"), [("400", 400), ("401", 401), ("429", 429), ("500", 500), ("503", 503)])
def test_errors_on_demand_are_openais(client: openai.OpenAI, fault: str, status: int) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(**ASK, extra_headers={"x-demo-fault": fault})
    assert error.value.status_code == status
    assert (error.value.response.headers.get("retry-after") is not None) == (status in {429, 503})


@pytest.mark.parametrize("stream", [True, False])
def test_a_truncated_answer_breaks_off(demo_url: str, stream: bool) -> None:
    response, connection = post(demo_url, {**ASK, "stream": stream}, "truncate")
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()


def test_an_error_event_ends_a_stream_and_is_a_500_without_one(demo_url: str) -> None:
    response, connection = post(demo_url, {**ASK, "stream": True}, "error-event")
    events = response.read().split(b"\n\n")
    connection.close()
    assert b'"error"' in events[-2]
    assert b"[DONE]" not in b"".join(events)
    response, connection = post(demo_url, ASK, "error-event")
    assert (response.status, b'"error"' in response.read()) == (500, True)
    connection.close()


def test_a_stalled_stream_stays_silent_until_the_client_leaves(demo_url: str) -> None:
    response, connection = post(demo_url, {**ASK, "stream": True}, "stall")
    assert connection.sock is not None
    connection.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        response.read()
    response.close()
    connection.close()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /v1/nothing", 404), ("GET /v1/chat/completions", 405), ("GET /health", 200), ("POST /v1/embeddings", 400)],
)
def test_paths_and_methods_are_checked(demo_url: str, request_line: str, status: int) -> None:
    method, path = request_line.split()
    connection = http.client.HTTPConnection(urlsplit(demo_url).netloc, timeout=5)
    connection.request(method, path)
    with connection.getresponse() as response:
        assert (response.status, response.getheader("x-demo-backend")) == (status, "simulated")
    connection.close()


def test_an_unknown_fault_is_named(demo_url: str) -> None:
    response, connection = post(demo_url, ASK, "earthquake")
    assert response.status == 400
    assert b"truncate" in response.read()
    connection.close()


def test_a_body_larger_than_it_holds_is_refused(demo_url: str) -> None:
    url = urlsplit(demo_url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as sock:
        sock.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 17000000\r\n\r\n")
        sock.sendall(b"x" * 16_900_000)
        assert sock.recv(100).startswith(b"HTTP/1.1 413")
