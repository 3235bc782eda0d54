"""Prompts, answers and keys pass through, and stay nowhere: not in the journal, the database, a backup or the log."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.stack import Stack
from tests.upstream import (
    FakeUpstream,
    Request,
    Script,
    Send,
    chat_completion,
    chat_events,
    json_response,
    stream_script,
)

pytestmark = pytest.mark.system

PROMPT, ANSWER, KEY = "zqprompt", "zqanswer", "sk-zqkey0123456789abcdef"


def server(request: Request) -> Script:
    """Answers in words that can be found again, and quotes the key where it refuses one."""
    if request.method != "POST":  # the metrics process asks for numbers
        return [Send(json_response({}, status=404))]
    asked = request.json()
    if asked.get("model") == "refused":
        return [Send(json_response({"error": {"message": f"Incorrect API key provided: {KEY}."}}, status=401))]
    if asked.get("stream"):
        return stream_script(chat_events((ANSWER, f" {ANSWER}2"), include_usage=True))
    return [Send(json_response(chat_completion(ANSWER)))]


def post(url: str, path: str, headers: dict[str, str], **body: Any) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
        return connection.getresponse().read()
    finally:
        connection.close()


def test_no_word_of_prompts_answers_and_keys_is_in_any_file(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
    tools = [{"type": "function", "function": {"name": "look", "description": PROMPT, "parameters": {}}}]
    bearer, chat = {"Authorization": f"Bearer {KEY}"}, "/v1/chat/completions"
    with FakeUpstream(server) as upstream, Stack(upstream.url, tmp_path, "--log-level", "debug") as stack:
        for stream in (False, True):
            said = post(stack.proxy_url, chat, bearer, model="m", messages=messages, tools=tools, stream=stream)
            assert ANSWER.encode() in said
        post(stack.proxy_url, f"{chat}?key={KEY}", {"x-api-key": KEY}, model="m", messages=messages)
        assert KEY.encode() in post(stack.proxy_url, chat, bearer, model="refused", messages=messages)
        records = stack.records(4)
        assert len({record["api_key_id"] for record in records}) == 1, "the key has an id"
        assert records[-1]["error_message"].startswith("Incorrect API key provided: ")
        asked = [request.body for request in upstream.requests if request.method == "POST"]
        assert len(asked) == 4
        assert all(PROMPT.encode() in body for body in asked), "they did pass"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"metrics.db", "serve.log", "api_key_secret"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for word in (PROMPT, ANSWER, KEY, KEY.removeprefix("sk-")):
            assert word.encode() not in content, f"{word} in {path.name}"
