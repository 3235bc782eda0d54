"""How paths are written and found: alone, below the known prefixes, below anything."""

import random
import re
from functools import cache

import pytest

from llm_metrics_proxy.wire.apis.ollama import OllamaRequest
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint, Family
from llm_metrics_proxy.wire.endpoints import ENDPOINTS, PREFIXES, family_of, find
from llm_metrics_proxy.wire.path_patterns import ID, EndpointFinder, below_anything, below_prefixes, to_regex

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


def test_a_row_with_prefixes_of_its_own_stands_below_no_other() -> None:
    row = Endpoint(paths=("**/*:do",), below=("/own/models",))
    finds = EndpointFinder([row, Endpoint(paths=("/p/models/m:do",), method="GET")], ["/p"])
    assert finds("/own/models/m:do") is row
    assert finds("/p/models/m:do") is not row
    assert finds("/any/thing/m:do") is row  # read there, if an operator lets it pass


def test_a_dialect_that_names_its_model_and_operation_in_one_segment_is_one_row_more() -> None:
    translate = Dialect(
        name="translate", operation="chat", paths=("models/*:translate",), provider="gcp.gemini",
        family=None, read_request=OllamaRequest.read,
    )  # fmt: skip
    finds = EndpointFinder([translate, *ENDPOINTS], PREFIXES)
    assert finds("/v1/models/gemini-pro:translate") is translate
    assert finds("/v1/models/gemini-pro%3Atranslate") is translate
    assert finds("/gateway/v3/models/gemini-pro:translate") is translate
    assert finds("/v1/models/a/b:translate") is not translate
    assert finds("/v1/chat/completions") is find("/v1/chat/completions")
    models = finds("/v1/models/gemini-pro")
    assert models is not None
    assert models.family is None
    assert Family.OPENAI is family_of("/v1/whatever")


@cache
def in_turn() -> list[tuple[re.Pattern[str], Endpoint]]:
    """Every pattern of the table, and its row."""
    written = sorted(((one, row) for row in ENDPOINTS for one in row.paths), key=lambda pair: ID in pair[0])
    below = [pair for pair in written if not pair[0].startswith("/")]
    every = [
        *((to_regex(one), row) for one, row in written if one.startswith("/")),
        *((below_prefixes(one, row.below or PREFIXES), row) for one, row in below),
        *((below_anything(one), row) for one, row in below),
    ]
    return [(re.compile(regex), row) for regex, row in every]


def a_path(written: str, rng: random.Random) -> str:
    """One that the table may mean, or nearly."""
    sent = written.replace("**/", rng.choice(["", "x/", "x/y/"])).replace("**", rng.choice(["a", "a/b"]))
    sent = sent.replace("*", rng.choice(["m", "m%20", "a:b", "m%2fx"])).replace(
        ID, rng.choice(["id1", "compact", "a:b"])
    )
    before = [*(prefix.replace("*", "d") for prefix in PREFIXES), "/x", "/any/v1", "/any/beta", "/openai/deployments/d"]
    path = sent if written.startswith("/") else f"{rng.choice(before)}/{sent}"
    return rng.choice([path, path, path, path.replace(":", "%3A"), path.upper(), f"/{path}", path[:-1], f"{path}/x"])


def test_looking_for_words_first_finds_what_every_pattern_in_turn_finds() -> None:
    rng = random.Random(20261130)
    for written in [one for row in ENDPOINTS for one in row.paths]:
        path = a_path(written, rng)
        for method in (None, "GET", "POST"):
            rows = (row for pattern, row in in_turn() if method in {None, row.method} and pattern.fullmatch(path))
            assert find(path, method) is next(rows, None), (path, method)
