"""How paths are written and found: alone, below the known prefixes, below anything."""

import re

import pytest

from llm_metrics_proxy.wire.apis.ollama import OllamaRequest
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint, Family
from llm_metrics_proxy.wire.endpoints import ENDPOINTS, PREFIXES, family_of, find
from llm_metrics_proxy.wire.path_patterns import EndpointFinder, below_prefixes, to_regex

ALONE, BELOW, ANYWHERE = Endpoint(paths=("/a",)), Endpoint(paths=("a",)), Endpoint(paths=("**/b/c", "d/*", "e/**"))


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/a", ALONE),
        ("/p/a", BELOW),
        ("/x/v1/a", BELOW),
        ("/x/v1beta/a", BELOW),
        ("/x/beta/a", BELOW),
        ("/x/openai/a", BELOW),
        ("/x/openai/deployments/d/a", BELOW),
        ("/x/a", None),
        ("/v/a", None),
        ("/b/c", ANYWHERE),
        ("/x/y/b/c", ANYWHERE),
        ("/xb/c", None),
        ("/p/d/1", ANYWHERE),
        ("/p/d/1/2", None),
        ("/p/e/1/2", ANYWHERE),
        ("/p/e", None),
        ("b/c", None),
        ("/" + "x" * 1100 + "/b/c", None),
    ],
)
def test_a_row_is_found_where_its_path_says(path: str, row: Endpoint | None) -> None:
    assert EndpointFinder([ANYWHERE, BELOW, ALONE], ["/p", ""])(path) is row


@pytest.mark.parametrize(
    ("segment", "is_one"),
    [("x", True), ("x%20y", True), ("x;y", True), ("..", True), ("x/y", False), ("", False), ("x%2fy", False),
     ("x%2Fy", False), ("x%252fy", False), ("x\\y", False), ("x%5cy", False), ("x%25255Cy", False)],
)  # fmt: skip
def test_a_segment_stays_one_however_often_it_is_decoded(segment: str, is_one: bool) -> None:
    assert (re.fullmatch(to_regex("/a/*/b"), f"/a/{segment}/b") is not None) is is_one


def test_what_passes_stands_alone_or_below_a_prefix() -> None:
    assert re.fullmatch(below_prefixes("**/b/c", ["/p", ""]), "/p/b/c")
    assert re.fullmatch(below_prefixes("**/b/c", ["/p", ""]), "/b/c")
    assert not re.fullmatch(below_prefixes("**/b/c", ["/p", ""]), "/x/b/c")
    assert not re.fullmatch(below_prefixes("/a", ["/p", ""]), "/p/a")


def test_a_dialect_that_names_its_model_and_operation_in_one_segment_is_one_row_more() -> None:
    gemini = Dialect(
        name="gemini", operation="chat", paths=("models/*:generateContent",), provider="gcp.gemini",
        family=None, read_request=OllamaRequest.read,
    )  # fmt: skip
    finds = EndpointFinder([gemini, *ENDPOINTS], PREFIXES)
    assert finds("/v1beta/models/gemini-pro:generateContent") is gemini
    assert finds("/gateway/v1/models/gemini-pro:generateContent") is gemini
    assert finds("/v1beta/models/a/b:generateContent") is not gemini
    assert finds("/v1/chat/completions") is find("/v1/chat/completions")
    models = finds("/v1beta/models/gemini-pro")
    assert models is not None
    assert models.family is None
    assert Family.OPENAI is family_of("/v1/whatever")
