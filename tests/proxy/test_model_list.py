"""The lists of several servers as one."""

import gzip
import json
from typing import Any

import pytest

from llm_metrics_proxy.proxy.choice import RoutingRule
from llm_metrics_proxy.proxy.fetch import Fetched
from llm_metrics_proxy.proxy.model_list import merged, models_in


def ids(rules: list[RoutingRule], *lists: Any) -> list[str]:
    document = json.loads(merged(rules, list(lists)))
    assert document["object"] == "list"
    return [member["id"] for member in document["data"]]


def listed(*names: str, **more: Any) -> list[Any]:
    return [{"id": name, "object": "model", **more} for name in names]


def test_every_model_is_listed_once_and_by_the_first_that_lists_it() -> None:
    body = merged(
        [RoutingRule("a"), RoutingRule("b")], [listed("m", "n", owned_by="a"), listed("n", "o", owned_by="b")]
    )
    assert [(each["id"], each["owned_by"]) for each in json.loads(body)["data"]] == [("m", "a"), ("n", "a"), ("o", "b")]


def test_only_what_a_request_would_reach_is_listed() -> None:
    rules = [RoutingRule("a", models=("llama*",)), RoutingRule("b")]
    assert ids(rules, listed("llama3", "gpt"), listed("llama3", "gpt", "llama2")) == ["llama3", "gpt"]


def test_a_server_without_a_list_and_members_without_a_name_are_left_out() -> None:
    assert ids([RoutingRule("a"), RoutingRule("b")], "timeout", [*listed("m"), {"id": 7}, "x", None, {}]) == ["m"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Fetched(200, {}, b'{"data":[{"id":"m"}]}'), [{"id": "m"}]),
        (Fetched(200, {"content_encoding": b"gzip"}, gzip.compress(b'{"data":[1]}')), [1]),
        (Fetched(200, {}, b'{"data":null}'), []),
        (Fetched(200, {}, b'{"data":{}}'), "no_list"),
        (Fetched(200, {}, b"{}"), "no_list"),
        (Fetched(200, {}, b"[]"), "no_list"),
        (Fetched(200, {}, b"\xff"), "no_list"),
        (Fetched(200, {"content_encoding": b"rot13"}, b"{}"), "no_list"),
        (Fetched(401, {}, b"{}"), "status_401"),
        (Fetched(0, {}, b"", "dns"), "dns"),
    ],
)
def test_what_servers_answer(answer: Fetched, found: Any) -> None:
    assert models_in(answer) == found
