"""Finding LLM servers: by what they answer, whatever they answer, and in time; and choosing one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.processes import discovery
from llm_metrics_proxy.processes.asking import DiscoveryAnswer, ask
from llm_metrics_proxy.processes.discovery import (
    Candidate,
    ChosenBackend,
    LlmServer,
    choose_backend,
    identify,
    look_on_loopback,
)
from tests.examples import examples


def http(body: bytes | object, status: str = "200 OK", extra: str = "") -> bytes:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{extra}\r\n".encode() + content


NOT_FOUND = http(b"404 page not found", "404 Not Found")


@asynccontextmanager
async def server(routes: dict[str, bytes], pieces: Sequence[int] = (), pause_s: float = 0) -> AsyncIterator[str]:
    """A server that answers paths with bytes; ``pieces`` are sizes in which it sends them."""

    answers = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.append(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        rest = routes.get(head.split()[1].decode(), NOT_FOUND)
        await asyncio.sleep(pause_s)
        for size in pieces:
            writer.write(rest[:size])
            rest = rest[size:]
            await asyncio.sleep(0)
        writer.write(rest)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, answers))


def models(*names: str, owner: str = "x") -> object:
    return {"object": "list", "data": [{"id": name, "owned_by": owner} for name in names]}


BODY = b'{"data":[{"id":"m","owned_by":"?"}]}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
    BODY[:5],
    len(BODY) - 5,
    BODY[5:],
)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({"/api/tags": http({"models": [{"name": "llama3"}]}), "/v1/models": http(models("llama3"))}, "Ollama 1"),
        ({"/api/tags": http({"models": None})}, "Ollama 0"),
        ({"/v1/models": http(models("a", "b", owner="vllm"))}, "vLLM 2"),
        ({"/v1/models": http(models("a", owner="llamacpp"))}, "llama.cpp 1"),
        ({"/v1/models": http(models("a", owner="organization_owner"))}, "LM Studio 1"),
        ({"/v1/models": http(models("a", owner="sglang"))}, "SGLang 1"),
        ({"/v1/models": http(models("a"))}, "guessed 1"),
        ({"/v1/models": http({"object": "list", "data": []})}, "guessed 0"),
        ({"/v1/models": CHUNKED}, "guessed 1"),
        ({"/v1/models": b'HTTP/1.0 200 OK\r\n\r\n{"data":[]}'}, "guessed 0"),
        ({}, "its answer to /v1/models (status 404) is not a list of models"),
        ({"/v1/models": http(b"<html>")}, "its answer to /v1/models (status 200) is not a list of models"),
        ({"/v1/models": http({"data": {}})}, "its answer to /v1/models (status 200) is not a list of models"),
        ({"/v1/models": http({"data": ["m"]})}, "its answer to /v1/models (status 200) is not a list of models"),
        ({"/v1/models": http([1])}, "its answer to /v1/models (status 200) is not a list of models"),
        ({"/v1/models": http({"models": [{"name": "models/gemini-2.5-pro", "version": "2.5"}]})}, "Gemini API 1"),
        ({"/v1/models": http({"error": 1}, "401 No")}, "it wants a key (status 401 for /v1/models)"),
        ({"/v1/models": b"SSH-2.0-OpenSSH_9\r\n"}, "what answers does not speak HTTP (Expected HTTP/"),
        ({"/v1/models": b""}, "the connection was closed without an answer"),
        ({"/v1/models": b"HTTP/1.1"}, "the connection was closed in the middle of an answer"),
    ],
)
def test_an_answer_tells_what_a_server_is(routes: dict[str, bytes], expected: str) -> None:
    async def story() -> LlmServer | str:
        async with server(routes) as url:
            return await identify(url + "/v1/", "guessed", limit_s=2)

    found = asyncio.run(story())
    if isinstance(found, LlmServer):
        assert f"{found.program} {len(found.models)}" == expected
        assert not found.url.endswith("/v1")
    else:
        assert found.startswith(expected)


def test_nobody_there_is_an_answer_too() -> None:
    async def story() -> LlmServer | str:
        async with server({}) as url:
            pass
        return await identify(url)

    assert "Connect call failed" in str(asyncio.run(story()))


def test_a_server_that_is_slow_costs_its_limit_and_no_more() -> None:
    async def story() -> LlmServer | str:
        async with server({"/v1/models": http(models("a"))}, pause_s=1.0) as url:
            return await identify(url, limit_s=0.1)

    assert asyncio.run(story()) == "no answer within 0.1 s"


def test_an_answer_without_end_is_cut_off() -> None:
    async def story() -> DiscoveryAnswer:
        async with server({"/": http(b"x" * 200_000)}) as url:
            return await ask(url + "/", 2, most_bytes=100_000)

    with pytest.raises(ValueError, match="an answer of more than 100000 bytes"):
        asyncio.run(story())


def test_loopback_is_searched_in_order_of_preference_without_our_own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> tuple[list[LlmServer], list[LlmServer], list[str]]:
        routes = {"/v1/models": http(models("a"))}
        async with server(routes) as first, server({}) as web, server(routes) as last:
            urls = [first, web, last]
            candidates = tuple(Candidate(f"P{index}", int(url.rsplit(":")[-1])) for index, url in enumerate(urls))
            monkeypatch.setattr(discovery, "CANDIDATES", candidates)
            return await look_on_loopback(), await look_on_loopback(frozenset({candidates[0].port})), urls

    both, without_first, urls = asyncio.run(story())
    assert [(found.program, found.url) for found in both] == [("P0", urls[0]), ("P2", urls[2])]
    assert [found.program for found in without_first] == ["P2"]
    assert str(both[0]) == f"P0 at {urls[0]} (1 model)"


@examples(30)
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "models", "id"]), inner),
        max_leaves=6,
    ).map(http),
    st.lists(st.integers(1, 20), max_size=5),
)
def test_no_answer_in_any_cut_breaks_the_search(answer: bytes, pieces: list[int]) -> None:
    async def story() -> LlmServer | str:
        async with server({"/v1/models": answer, "/api/tags": answer}, pieces) as url:
            return await identify(url, limit_s=2)

    assert asyncio.run(story())


def finding(monkeypatch: pytest.MonkeyPatch, *found: LlmServer) -> None:
    async def look(skip_ports: frozenset[int]) -> list[LlmServer]:
        assert skip_ports == {8001, 8002}
        return list(found)

    monkeypatch.setattr(discovery, "look_on_loopback", look)


def test_a_backend_that_was_named_is_taken_unasked() -> None:
    assert choose_backend(Settings(backend="http://h:1"), "flag --backend") == ChosenBackend(
        "http://h:1", "flag --backend"
    )


def test_the_simulated_server_can_be_asked_for() -> None:
    chosen = choose_backend(Settings(backend="demo"), "flag --backend")
    assert chosen == ChosenBackend(None, "the simulated server was asked for (flag --backend)")


def test_the_most_preferred_server_is_taken_and_the_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    finding(monkeypatch, LlmServer("http://a", "Ollama", ("m", "n")), LlmServer("http://b", "vLLM", ("m",)))
    chosen = choose_backend(Settings(), "default")
    assert chosen.url == "http://a"
    assert chosen.note == "Ollama with 2 models, found on loopback; also there: vLLM at http://b (1 model)"


def test_finding_none_says_where_was_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    finding(monkeypatch)
    chosen = choose_backend(Settings(), "default")
    assert chosen.url is None
    assert "no LLM server found on loopback (Ollama 11434, vLLM 8000," in chosen.note
