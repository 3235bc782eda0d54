"""Inference paths pass; nothing else does, however it is spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.policy import PathPolicy
from tests.examples import examples

ALLOWED = [
    ("POST", "/v1/chat/completions"), ("POST", "/v1/chat/completions/"), ("OPTIONS", "/v1/chat/completions"),
    ("POST", "/v1/completions"), ("POST", "/v1/embeddings"), ("POST", "/v1/responses"), ("POST", "/v1/messages"),
    ("POST", "/v1/audio/transcriptions"), ("POST", "/v1/images/generations"), ("POST", "/v1/rerank"),
    ("GET", "/v1/models"), ("HEAD", "/v1/models"), ("GET", "/v1/models/org%2Fname"), ("GET", "/v1/models/org/name"),
    ("GET", "/v1/models/a;v=1"), ("GET", "/v1/realtime"), ("POST", "/openai/v1/chat/completions"),
    ("POST", "/openai/deployments/gpt-4o/chat/completions"), ("POST", "/api/v1/chat/completions"),
    ("POST", "/v1beta/openai/chat/completions"), ("POST", "/api/chat"), ("POST", "/api/generate"),
    ("POST", "/api/embed"), ("POST", "/api/show"), ("GET", "/api/tags"), ("GET", "/api/ps"), ("GET", "/"),
    ("HEAD", "/"), ("POST", "/completion"), ("POST", "/anthropic/v1/messages"),
    ("POST", "/api/anthropic/v1/messages/count_tokens"), ("GET", "/anthropic/v1/models"), ("POST", "/openai/responses"),
    ("POST", "/api/v0/chat/completions"), ("POST", "/api/embeddings"),
    ("GET", "/v1/files"),  # passes since 4.5
    ("POST", "/generate"), ("POST", "//v1/chat/completions".replace("//", "/")),
]  # fmt: skip
ADMINISTRATION = [
    ("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/create"), ("POST", "/api/copy"),
    ("DELETE", "/api/delete"), ("POST", "/api/delete"), ("POST", "/api/blobs/sha256:1"), ("HEAD", "/api/blobs/x"),
    ("POST", "/v1/load_lora_adapter"), ("POST", "/sleep"), ("POST", "/wake_up"), ("POST", "/reset_prefix_cache"),
    ("GET", "/slots"), ("POST", "/slots/0"), ("GET", "/metrics"), ("POST", "/models/apply"),
    ("POST", "/backend/shutdown"),
    ("DELETE", "/v1/models/m"), ("PUT", "/v1/chat/completions"), ("PATCH", "/v1/models"), ("POST", "/v1/models"),
    ("POST", "/v1/fine_tuning/jobs"), ("GET", "/admin"), ("POST", "/flush_cache"),
]  # fmt: skip
TRICKS = [
    "/v1/../api/pull", "/v1/./../api/pull", "/v1/%2e%2e/api/pull", "/v1/%2E%2E/api/pull", "/v1/%252e%252e/api/pull",
    "/v1/..%2fapi/pull", "/v1/..%5capi/pull", "/v1/..\\api\\pull", "//api/pull", "/api//pull", "/api/pull/",
    "/api/pull;x",
    "/api/pull%00", "/%61pi/pull", "/api/%70ull", "/API/PULL", "/v1/chat/completions/../../../api/pull",
    "/v1/chat/completions%2f..%2f..%2f..%2fapi%2fpull", "/v1/chat/completions;/../../../api/pull",
    "/v1/chat/completions%3f/../../../api/pull", "/v1/chat/completions#/../../../api/pull",
    "/openai/deployments/../chat/completions", "/openai/deployments/%2e%2e/chat/completions",
    "/openai/deployments/..%2f..%2fapi%2fpull%3f/chat/completions",
    "/openai/deployments/a%2f..%2f..%2f..%2fapi/chat/completions",
    "/v1/chat/completions\x00", "/v1/chat/completions\n", "/v1/chat/completions/x", "/xv1/chat/completions", "",
    "v1/models",
]  # fmt: skip
READ_TRICKS = [
    "/v1/models/../../slots", "/v1/models/..%2f..%2fslots", "/v1/models/..%252f..%252fslots",
    "/v1/models/..\\..\\slots",
    "/v1/models/a;/../../../slots", "/v1/models/a%3f/../../../slots", "/v1/models/a%23/../../../slots",
    "/v1/models/..;/..;/slots", "/v1/models/..;a=b/..;c/slots", "/v1/models/../../slots/%252e%252e/v1/models/x",
    "/v1/models/%2e%2e/%2e%2e/slots", "/v1/models//../../../slots", "/v1/models/a%00/../../../slots",
    "/v1/models/%2e%2e/../%2e%2e/slots",
    "/v1/models/%5c..%5c..%5c..%5cslots", "/v1/models/..%25252f..%25252fslots",
    "/v1/models/a/..%3b/..%3b/..%3b/slots",
]  # fmt: skip
# An answer's id is a segment that nothing leads out of.
ID_TRICKS = [
    "/v1/responses/..", "/v1/responses/../../slots", "/v1/responses/..%2f..%2fslots",
    "/v1/responses/%2e%2e/%2e%2e/slots",
    "/v1/responses/..%252f..%252fslots", "/v1/responses/..\\..\\slots", "/v1/responses/a;/../../../slots",
    "/v1/responses/a%3f/../../../slots", "/v1/responses/..%5c..%5cslots", "/v1/responses/a/b", "/v1/responses/a%2fb",
    "/v1/conversations/c/items/..%2f..%2f..%2f..%2fslots", "/v1/files/..%2f..%2f..%2fslots", "/v1/files/../../slots",
    "/v1/responses/..%2f..%2fv1%2fmodels%2fm",
]  # fmt: skip


def test_ids_do_not_fill_the_memory_of_routes() -> None:
    policy = PathPolicy()
    for number in range(5000):
        assert policy.route(b"GET", b"/v1/responses/resp_%d" % number).allowed
    assert len(policy._routes) == 0
    policy.route(b"POST", b"/v1/responses")
    assert len(policy._routes) == 1


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
@pytest.mark.parametrize("path", ID_TRICKS)
def test_an_id_leads_nowhere_else(method: bytes, path: str) -> None:
    assert not PathPolicy().route(method, path.encode()).allowed


@pytest.mark.parametrize(("method", "path"), ALLOWED)
def test_inference_passes(method: str, path: str) -> None:
    assert PathPolicy().route(method.encode(), path.encode()).allowed


@pytest.mark.parametrize(("method", "path"), ADMINISTRATION)
def test_administration_does_not(method: str, path: str) -> None:
    assert not PathPolicy().route(method.encode(), path.encode()).allowed


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_of_a_path_gets_past(path: str) -> None:
    assert not PathPolicy().route(b"POST", path.encode()).allowed


@pytest.mark.parametrize("path", READ_TRICKS)
def test_no_spelling_behind_the_models_gets_past(path: str) -> None:
    assert not PathPolicy().route(b"GET", path.encode()).allowed


def test_overlong_paths_are_not_looked_into() -> None:
    assert PathPolicy().route(b"GET", b"/v1/models/" + b"a" * 1000).allowed
    assert not PathPolicy().route(b"GET", b"/v1/models/" + b"a" * 1100).allowed
    assert PathPolicy(allow_all=True).route(b"GET", b"/v1/models/" + b"a" * 1100).allowed


_PARTS = ["..", ".", "", "a", "%2e%2e", "%2f", "%252f", "\\", ";x", "?", "%3f", "#", "%00", "slots", "models", "v1"]


@examples(300)
@given(st.lists(st.sampled_from(_PARTS), max_size=8), st.sampled_from(("/", "%2f", "\\", "//")))
def test_whatever_passes_is_a_path_that_may_pass_for_an_ordinary_server_too(parts: list[str], joint: str) -> None:
    """The oracle: a server that decodes once and folds dot segments by a stack, written independently."""
    path = "/v1/models/" + joint.join(parts)
    if not PathPolicy().route(b"GET", path.encode()).allowed:
        return
    for plain in (path, path.replace("%2e", ".").replace("%2f", "/")):
        stack: list[str] = []
        for segment in plain.split("/"):
            if segment == "..":
                stack = stack[:-1]
            elif segment not in {"", "."}:
                stack.append(segment)
        assert PathPolicy().route(b"GET", ("/" + "/".join(stack)).encode()).allowed, (path, stack)


def test_what_an_operator_allows_passes_with_any_method_but_no_trick() -> None:
    policy = PathPolicy(["/api/pull", "/admin/*/x", "/deep/**"])
    for method, path in ((b"POST", b"/api/pull"), (b"DELETE", b"/admin/1/x"), (b"PUT", b"/deep/a/b/c")):
        assert policy.route(method, path).allowed
    for path in (b"/admin/x", b"/admin/1/2/x", b"/deep", b"/deep/../api/push", b"/api/pullx", b"/api.pull"):
        assert not policy.route(b"POST", path).allowed


def test_everything_passes_when_everything_is_allowed() -> None:
    assert PathPolicy(allow_all=True).route(b"DELETE", b"/api/delete").allowed


def test_the_endpoint_is_the_path_as_sent_cut_to_size() -> None:
    route = PathPolicy().route(b"GET", b"/v1/models/" + b"a%2F" * 200)
    assert route.endpoint == ("/v1/models/" + "a%2F" * 200)[:256]
    assert route.dialect is None
    chat = PathPolicy().route(b"POST", b"/v1/chat/completions")
    assert chat.dialect is not None
    assert chat.dialect.name == "openai_chat"


def test_paths_that_never_repeat_cost_bounded_memory() -> None:
    policy = PathPolicy()
    for number in range(6000):
        policy.route(b"GET", b"/%d" % number)
    assert len(policy._routes) <= 4096
    assert policy.route(b"GET", b"/v1/models").allowed
