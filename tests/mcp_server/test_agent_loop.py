"""An agent with the tools, end to end: its model is a script behind the proxy, and chooses by what tools answer.

The loop is the one that agents have: tools are handed to the model, what it calls is called, until it says something.
So the agent's own requests pass through the proxy too, and it finds itself among the sessions.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import openai
import pytest
from mcp import Client, StdioServerParameters

from tests.stack import Stack
from tests.upstream import FakeUpstream, Send, chat_completion, error_response, json_response, openai_handler
from tests.upstream.conversation import Request
from tests.upstream.steps import Script

pytestmark = pytest.mark.system

PROGRAM: Final = str(Path(sys.executable).with_name("llm-metrics-proxy"))
SINCE: Final = {"since": "1h"}


def told(messages: list[dict[str, Any]], back: int = 1) -> Any:
    return json.loads([one for one in messages if one["role"] == "tool"][-back]["content"])


# What the model does next, by how many answers of tools it has seen; each reads the answer before.
PLAN: Final[list[Callable[[list[dict[str, Any]]], tuple[str, dict[str, Any]]]]] = [
    lambda _: ("summary", SINCE),
    lambda seen: ("errors", SINCE) if told(seen)["failed"] else ("explain", {}),
    lambda seen: (
        "query",
        {"metric": "requests", "by": ["model"], "where": [f"error_type={told(seen)['types'][0]['type']}"], **SINCE},
    ),
    lambda seen: (  # the tool has said what was wrong with the last call
        "query",
        {"metrics": ["requests"] if "did you mean metrics" in seen[-1]["content"] else [], "by": ["model"],
         "where": [f"error_type={told(seen, 2)['types'][0]['type']}"], **SINCE},
    ),
    lambda seen: ("slowest_requests", {"where": [f"model={told(seen)['rows'][0]['model']}"], "limit": 1, **SINCE}),
    lambda seen: ("explain", {"name": told(seen)["requests"][0]["error_type"]}),
    lambda _: ("sessions", {"order": "requests", **SINCE}),
]  # fmt: skip


def model(request: Request) -> Script:
    """The scripted model, and one that is broken. GET is the proxy's own: it asks what the server says of itself."""
    if request.method == "GET":
        return openai_handler(request)
    asked = request.json()
    if asked["model"] == "broken":
        return [Send(error_response(500, "out of memory"))]
    seen = sum(one["role"] == "tool" for one in asked["messages"])
    answer = chat_completion("The model `broken` fails: " + asked["messages"][-1]["content"][:40])
    if asked.get("tools") and seen < len(PLAN):
        name, arguments = PLAN[seen](asked["messages"])
        assert name in {one["function"]["name"] for one in asked["tools"]}
        call = {
            "id": f"call-{seen}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        answer["choices"][0] |= {"finish_reason": "tool_calls"}
        answer["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    return [Send(json_response(answer))]


async def loop(llm: openai.AsyncOpenAI, tools: Client, session: str) -> list[dict[str, Any]]:
    """The whole conversation."""
    offered: Any = [
        {
            "type": "function",
            "function": {"name": one.name, "description": one.description, "parameters": one.input_schema},
        }
        for one in (await tools.list_tools()).tools
    ]
    messages: list[Any] = [{"role": "user", "content": "What is wrong?"}]
    while True:
        answer = await llm.chat.completions.create(
            model="agent", messages=messages, tools=offered, extra_headers={"x-llm-metrics-session": session}
        )
        said = answer.choices[0].message
        messages.append(said.model_dump(exclude_none=True))
        if not said.tool_calls:
            return messages
        for call in said.tool_calls:
            result = await tools.call_tool(call.function.name, json.loads(call.function.arguments))  # type: ignore[union-attr]
            text = result.content[0].text  # type: ignore[union-attr]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})


@asynccontextmanager
async def over_stdio(*arguments: str) -> AsyncIterator[Client]:
    async with Client(StdioServerParameters(command=PROGRAM, args=["mcp", *arguments])) as client:
        yield client


def test_an_agent_finds_what_is_wrong_over_every_transport(tmp_path: Path) -> None:
    async def agents(stack: Stack) -> dict[str, list[dict[str, Any]]]:
        ways: dict[str, AbstractAsyncContextManager[Client]] = {
            "http": Client(f"{stack.metrics_url}/mcp"),
            "stdio of the database": over_stdio("--data-dir", str(stack.data_dir)),
            "stdio of the API": over_stdio("--url", stack.metrics_url),
        }
        found = {}
        async with openai.AsyncOpenAI(base_url=f"{stack.proxy_url}/v1", api_key="none", max_retries=0) as llm:
            for name, way in ways.items():
                async with way as tools:
                    found[name] = await loop(llm, tools, name)
                await asyncio.to_thread(stack.records, len(PLAN), session_id=name)
        return found

    with FakeUpstream(model) as upstream, Stack(upstream.url, tmp_path) as stack:
        for _ in range(3):
            with openai.OpenAI(base_url=f"{stack.proxy_url}/v1", api_key="none", max_retries=0) as llm, \
                    pytest.raises(openai.InternalServerError):  # fmt: skip
                llm.chat.completions.create(model="broken", messages=[{"role": "user", "content": "?"}])
        stack.records(3, model="broken")
        for name, messages in asyncio.run(agents(stack)).items():
            answers = [one["content"] for one in messages if one["role"] == "tool"]
            assert len(answers) == len(PLAN), name
            assert "did you mean metrics" in answers[2]
            assert json.loads(answers[3])["rows"] == [{"model": "broken", "requests": 3}]
            assert json.loads(answers[4])["requests"][0]["error_message"] == "out of memory"
            assert json.loads(answers[5])["explanations"][0]["advice"]
            assert all(json.loads(one)["link"].startswith("http://") for one in answers if one.startswith("{"))
            assert messages[-1]["role"] == "assistant"
        assert {row["session_id"] for row in json.loads(answers[-1])["sessions"]} >= {"http", "stdio of the database"}


def test_what_stands_in_the_way_is_one_line_on_standard_error(tmp_path: Path) -> None:
    for arguments, code, words in (
        (["--data-dir", str(tmp_path)], 1, "no database at"),
        (["--url", "nowhere"], 1, "is no address of a metrics API"),
    ):
        ended = subprocess.run([PROGRAM, "mcp", *arguments], input="", capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (code, "")
        assert words in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1
