"""The table of endpoints: what each consumer decides by it for every path that 4.3 was asked about; how it grows."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec
import pytest

from llm_metrics_proxy.pricing import Pricer
from llm_metrics_proxy.proxy.choice import model_in_target
from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import RequestRecord, is_fetch
from llm_metrics_proxy.telemetry import facts
from llm_metrics_proxy.wire.dialects import FETCH, Family
from llm_metrics_proxy.wire.endpoints import DIALECTS, ENDPOINTS, PREFIXES, family_of, find
from llm_metrics_proxy.wire.path_patterns import to_regex
from tests.wire.test_dialects import ALONE

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "post")
CALLS, READS = "OPTIONS,POST", "GET,HEAD,OPTIONS"


class Decision(NamedTuple):
    """What is decided about a path: methods that pass, dialects of POST and GET, family, model in path and target."""

    passes: str
    post: str
    get: str
    family: str
    model: str
    target: str


def decision(path: str) -> Decision:
    policy, raw = PathPolicy(), path.encode()
    routes = {method: policy.route(method.encode(), raw) for method in METHODS}
    read = {method: route.dialect.name for method, route in routes.items() if route.dialect is not None}
    assert read.keys() <= {"POST", "GET"}
    family = family_of(path)
    return Decision(
        ",".join(method for method, route in routes.items() if route.allowed) or "-",
        read.get("POST", "-"),
        read.get("GET", "-"),
        "-" if family is None else family.value,
        routes["POST"].model or "-",
        model_in_target(raw) or "-",
    )


LINES = (Path(__file__).parent / "endpoints_of_4_3.tsv").read_text().splitlines()
BEFORE = {path: Decision(*rest) for path, *rest in (line.split("\t") for line in LINES)}
# What 4.4 lets pass and reads beyond that, all of it inference or a list of models.
NEW = {
    "/api/chat/completions": Decision(CALLS, "openai_chat", "-", "openai", "-", "-"),
    "/api/chat/completions/": Decision(CALLS, "openai_chat", "-", "openai", "-", "-"),
    "/beta/chat/completions": Decision(CALLS, "openai_chat", "-", "openai", "-", "-"),
    "/beta/completions": Decision(CALLS, "openai_completions", "-", "openai", "-", "-"),
    "v1/models": Decision("-", "-", "-", "openai", "-", "-"),  # no path at all
}
# What 4.5 does beyond that: the APIs of other servers. Their own tests have the paths that 4.3 was not asked about.
API = "|".join(map(to_regex, PREFIXES))
BOTH = "GET,HEAD,OPTIONS,POST"
NEW_IN_4_5 = {
    "/generate": Decision(CALLS, "generate", "-", "openai", "-", "-"),
    "/generate_stream": Decision(CALLS, "generate_stream", "-", "openai", "-", "-"),
    "/encode": Decision(CALLS, "encode", "-", "openai", "-", "-"),
    "/": Decision(BOTH, "generate_root", "-", "-", "-", "-"),
    f"({API})/score": Decision(CALLS, "score", "-", "openai", "-", "-"),
    f"({API})/classify": Decision(CALLS, "classify", "-", "shared", "-", "-"),
    f"({API})/pooling": Decision(CALLS, "pooling", "-", "openai", "-", "-"),
    f"({API})/messages/batches": Decision(BOTH, "anthropic_batch", "-", "anthropic", "-", "-"),
    f"({API})/messages/batches/b/results": Decision(READS, "-", "anthropic_batch_fetch", "anthropic", "-", "-"),
}


def new_in_4_5(path: str) -> Decision | None:
    return next((new for regex, new in NEW_IN_4_5.items() if re.fullmatch(f"(?:{regex})/?", path) and path), None)


# What 4.5 lets pass and reads beyond that: OpenAI's answers that are kept, files and batches. Below every prefix.
ANSWER = Decision("GET,HEAD,OPTIONS,DELETE", "-", "openai_responses_fetch", "openai", "-", "-")
CALLED = "GET,HEAD,OPTIONS,POST,DELETE"  # it could be an answer's id too
OBJECTS = {
    "responses": Decision(
        "GET,HEAD,OPTIONS,POST", "openai_responses", "openai_responses_websocket", "openai", "-", "-"
    ),
    "responses/compact": ANSWER._replace(passes=CALLED, post="openai_responses_compact"),
    "responses/input_tokens": ANSWER._replace(passes=CALLED, post="openai_input_tokens"),
    "responses/r": ANSWER,
    "chat/completions/x": Decision(READS, "-", "openai_chat_fetch", "openai", "-", "-"),
    "files": Decision("GET,HEAD,OPTIONS,POST", "-", "-", "openai", "-", "-"),
    "batches": Decision("GET,HEAD,OPTIONS,POST", "-", "-", "openai", "-", "-"),
}
_PREFIXES = (
    "/v1/", "/openai/v1/", "/api/v1/", "/anthropic/v1/", "/api/anthropic/v1/", "/v1beta/openai/", "/api/v0/",
    "/openai/deployments/(?!.*%2F)[^/]+/", "/engines/(?:llama.cpp/)?v1/", "/openai/(?=responses)", "/",
)  # fmt: skip
_BELOW = re.compile(f"(?:{'|'.join(_PREFIXES)})({'|'.join(OBJECTS)})/?")


def object_of(path: str) -> Decision | None:
    """What is decided about something that OpenAI keeps."""
    found = _BELOW.fullmatch(path)
    if found is None:
        return None
    deployment = re.match("/openai/deployments/([^/]+)/", path)
    return OBJECTS[found[1]]._replace(model=unquote(deployment[1]) if deployment else "-")


# What 4.5 reads: Google's methods, which name the model in the path. They pass where Google offers them.
GOOGLE = re.compile("/models/(?P<model>[^/]+):(?P<method>generateContent|streamGenerateContent|embedContent)/?$")
DIALECT_OF = {
    "generateContent": "gemini_generate", "streamGenerateContent": "gemini_stream", "embedContent": "gemini_embed",
}  # fmt: skip


def in_4_5(path: str, before: Decision, model: str, method: str) -> Decision:
    model = before.model if before.model != "-" else model
    if re.match("/v1(beta)?/models/", path):
        return Decision("GET,HEAD,OPTIONS,POST", DIALECT_OF[method], "-", "gemini", model, before.target)
    family = "gemini" if before.passes == "-" else before.family
    deployment = re.match("/proxy/openai/deployments/(d)/", path)
    if path.startswith("/engines/"):
        return BEFORE["/" + path.removeprefix("/engines/").removeprefix("llama.cpp/")]._replace(model=model)
    return before._replace(family=family, model=model if deployment is None else deployment[1])


def expected(path: str, before: Decision) -> Decision:
    if path in NEW:
        return NEW[path]
    google = GOOGLE.search(path)
    if google is not None:
        return in_4_5(path, before, google["model"], google["method"])
    new = new_in_4_5(path)
    if new is not None:
        return new._replace(model=before.model)
    kept = object_of(path)
    if kept is not None:
        return kept
    engine = re.fullmatch("/engines/(?:llama.cpp/)?(v1/[^.]*)", path)
    if engine is not None:
        before = BEFORE["/" + engine[1]]
    if before.passes == "-":  # what is refused is read by nobody
        before = before._replace(post="-", get="-")
    row = find(path.rstrip("/") or "/")
    if row is not None and row.family is Family.SHARED:  # a backend of Cohere's gets them too
        assert re.search("/(rerank|reranking|classify|tokenize|detokenize)/?$", path)
        before = before._replace(family="shared")
    deployment = re.match("/proxy/openai/deployments/(d)/", path)
    return before if deployment is None else before._replace(model=deployment[1])


def test_every_decision_about_a_path_is_that_of_4_3_but_for_those_named_here() -> None:
    assert len(BEFORE) > 1000
    assert {path: decision(path) for path in BEFORE} == {path: expected(path, was) for path, was in BEFORE.items()}


def test_nothing_passes_that_did_not_but_inference_lists_of_models_and_what_servers_keep() -> None:
    opened = {path for path, was in BEFORE.items() if decision(path).passes != was.passes}
    opened = {path for path in opened if object_of(path) is None and new_in_4_5(path) is None}
    assert opened
    opened -= {path for path in opened if GOOGLE.search(path) and re.match("/v1(beta)?/models/", path)}
    plain = {path: "/v1/" + re.sub("^/(engines/(llama.cpp/)?v1|api|beta)/", "", path) for path in opened}
    assert all(decision(path).passes == BEFORE[plain[path]].passes for path in opened)


def test_what_an_operator_lets_pass_below_any_prefix_is_read_like_its_plain_form() -> None:
    policy = PathPolicy(["/gateway/**"])
    for path in ("/gateway/v1/messages", "/gateway/x/chat/completions"):
        route = policy.route(b"POST", path.encode())
        assert route.dialect is find("/v1/" + path.partition("/v1/")[2] if "/v1/" in path else "/v1/chat/completions")
    assert policy.route(b"POST", b"/gateway/threads/messages").dialect is None


# What 4.5 lets pass and reads beyond that; 4.3 refused them all.
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPENED = {
    "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse": ("bedrock_converse", ARN.partition("/")[2]),
    "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream":
        ("bedrock_converse_stream", ARN.partition("/")[2]),
    f"/model/{quote(ARN, safe='')}/invoke": ("bedrock_invoke", ARN),
    f"/model/{ARN}/invoke-with-response-stream": ("bedrock_invoke_stream", ARN),
    "/model/amazon.nova-lite-v1:0/count-tokens": ("bedrock_count_tokens", "amazon.nova-lite-v1:0"),
    "/v2/chat": ("cohere_chat", "-"), "/v2/embed": ("cohere_embed", "-"), "/v1/embed": ("cohere_embed", "-"),
    "/v1/chat": ("cohere_v1_chat", "-"), "/v1/generate": ("cohere_v1_generate", "-"),
}  # fmt: skip


@pytest.mark.parametrize("path", OPENED)
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_apis_of_bedrock_and_cohere_pass_and_are_read(path: str, slash: str) -> None:
    name, model = OPENED[path]
    assert path not in BEFORE
    assert decision(path + slash) == Decision(CALLS, name, "-", name.partition("_")[0], model, "-")


@pytest.mark.parametrize(
    "path",
    ["/model/converse", "/model/a/b", "/model/a/../../x/converse", "/model/a%2f..%2f..%2fx/converse",
     "/model/a%252f%252e%252e%252f..%252fx/converse", "/model/a\\..\\..\\x/invoke", "/model/a%3fx/converse",
     "/x/model/a/invoke", "/model/a/converse/x", "/v2/chat/x", "/v1/embed-jobs", "/v2/generate", "/model/a%00/invoke",
     "/model/a;/../../invoke"],
)  # fmt: skip
def test_what_only_looks_like_them_does_not_pass(path: str) -> None:
    assert decision(path).passes == "-"


@pytest.mark.parametrize(
    "path",
    ["/openai/deployments/a%2f..%2f..%2f..%2fapi/chat/completions",
     "/openai/deployments/a%252F%252e%252e%252f..%2fbeta/completions",
     "/openai/deployments/a\\..\\..\\..\\api/chat/completions", "/engines/..%2f..%2fapi%2fpull%3f/v1/chat/completions",
     "/engines/x/../v1/chat/completions", "/api/pull/chat/completions", "/beta/models", "/api/models"],
)  # fmt: skip
def test_no_path_leads_out_of_a_segment_and_nothing_is_open_below_any_prefix(path: str) -> None:
    assert decision(path).passes == "-"


def test_a_path_that_stands_alone_is_found_before_any_other() -> None:
    assert all(find(path) is dialect for path, dialect in ALONE.items())


OPERATIONS = {
    "openai_chat": "chat", "openai_completions": "text_completion", "openai_embeddings": "embeddings",
    "openai_responses": "chat", "openai_realtime": "realtime", "anthropic_messages": "chat",
    "anthropic_count_tokens": "count_tokens", "llama_completion": "text_completion", "ollama_chat": "chat",
    "ollama_generate": "text_completion", "ollama_embed": "embeddings", "rerank": "rerank",
    "openai_moderations": "moderation", "openai_speech": "speech", "openai_transcriptions": "transcription",
    "openai_translations": "translation", "openai_images": "image_generation",
    "gemini_generate": "generate_content", "gemini_stream": "generate_content", "gemini_count_tokens": "count_tokens",
    "gemini_interactions": "generate_content",
    "gemini_embed": "embeddings", "gemini_images": "image_generation", "vertex_embed": "embeddings",
    "vertex_count_tokens": "count_tokens", "vertex_messages": "chat", "vertex_raw_chat": "chat", "vertex_chat": "chat",
    "bedrock_converse": "chat", "bedrock_converse_stream": "chat", "bedrock_count_tokens": "count_tokens",
    "bedrock_invoke": "chat", "bedrock_invoke_stream": "chat", "cohere_chat": "chat", "cohere_embed": "embeddings",
    "cohere_v1_chat": "chat", "cohere_v1_generate": "text_completion",
    "openai_responses_websocket": "chat", "openai_responses_fetch": "fetch", "openai_responses_compact": "chat",
    "openai_input_tokens": "count_tokens", "openai_chat_fetch": "fetch", "openai_batch_fetch": "fetch",
    "openai_videos": "video_generation", "openai_video_fetch": "fetch",
}  # fmt: skip
PROVIDERS = {
    "openai": "openai", "anthropic": "anthropic", "ollama": "ollama", "llama": "llama_cpp", "rerank": None,
    "gemini": "gcp.gemini", "vertex": "gcp.vertex_ai",
    "bedrock": "aws.bedrock", "cohere": "cohere",
}  # fmt: skip


def test_telemetry_and_pricing_take_from_the_table_what_they_said_in_4_3() -> None:
    found = facts.dialects()
    assert {name: found[name].operation for name in OPERATIONS} == OPERATIONS
    expected = {name: PROVIDERS[name.partition("_")[0]] for name in OPERATIONS}
    assert {name: found[name].provider for name in OPERATIONS} == expected
    pricer = Pricer()
    read = {"openai_embeddings", "ollama_embed", "rerank", "openai_moderations", "gemini_embed", "vertex_embed",
        "cohere_embed",
    }  # fmt: skip
    assert pricer._only_input & set(OPERATIONS) == read
    assert pricer._sellers["anthropic_messages"] == pricer._sellers["vertex_messages"] == ("anthropic", "claude")
    assert pricer._sellers["gemini_stream"] == pricer._sellers["vertex_chat"] == ("google", "gemini")


def test_every_path_is_written_once_for_a_method_and_a_name_means_one_dialect() -> None:
    paths = [(path, row.method) for row in ENDPOINTS for path in row.paths]
    assert len(paths) == len(set(paths))
    for dialect in DIALECTS:
        one = facts.dialects()[dialect.name]
        assert msgspec.structs.replace(one, paths=dialect.paths, method=dialect.method) == dialect


def test_dialects_that_fetch_say_so_in_their_names() -> None:
    for dialect in DIALECTS:
        record = RequestRecord(request_id="r", timestamp="t", method="GET", endpoint="/", dialect=dialect.name)
        assert is_fetch(record) is (dialect.operation == FETCH)


OWN = {  # what a user may do with things that no list shows
    "GET": ["responses/r1", "responses/r1/input_items", "conversations/c1", "conversations/c1/items",
            "conversations/c1/items/i1"],
    "POST": ["responses/r1/cancel", "conversations", "conversations/c1", "conversations/c1/items", "uploads",
             "uploads/u1/parts", "uploads/u1/complete", "uploads/u1/cancel", "realtime/client_secrets",
             "realtime/transcription_sessions", "realtime/calls", "realtime/sessions"],
    "DELETE": ["responses/r1", "conversations/c1", "conversations/c1/items/i1"],
}  # fmt: skip
LISTED = {  # and with those that everybody who has the key can see
    "GET": ["files", "files/f1", "files/f1/content", "batches", "batches/b1", "videos", "videos/v1",
            "videos/v1/content", "chat/completions/c1", "chat/completions/c1/messages"],
    "POST": ["files", "batches", "videos", "videos/v1/remix"],
}  # fmt: skip
CLOSED = {
    "POST": ["responses/r1", "chat/completions/c1", "files/f1", "batches/b1/cancel", "conversations/c1/items/i1",
             "fine_tuning/jobs", "vector_stores", "containers", "assistants", "realtime/calls/c1/hangup"],
    "DELETE": ["files/f1", "videos/v1", "chat/completions/c1", "models/m1", "conversations", "responses", "batches/b1"],
    "GET": ["chat/completions", "conversations", "vector_stores", "organization/usage/completions", "uploads/u1"],
}  # fmt: skip


@pytest.mark.parametrize("prefix", ["/v1/", "/openai/v1/", "/api/v1/", "/backend-api/codex/"])
@pytest.mark.parametrize(("table", "passes"), [(OWN, True), (LISTED, True), (CLOSED, False)])
def test_what_openai_keeps_can_be_used_and_what_others_see_not_be_taken_away(
    table: dict[str, list[str]], passes: bool, prefix: str
) -> None:
    policy = PathPolicy()
    found = {
        (method, path): policy.route(method.encode(), (prefix + path).encode()).allowed
        for method, paths in table.items()
        for path in paths
    }
    assert found == dict.fromkeys(found, passes)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/responses/resp_1", "/v1/responses/{id}"),
        ("/v1/responses/resp_1/", "/v1/responses/{id}/"),
        ("/v1/responses/resp_1/input_items", "/v1/responses/{id}/input_items"),
        ("/x/v1/conversations/c/items/i", "/x/v1/conversations/{id}/items/{id}"),
        ("/openai/responses/r/input_items", "/openai/responses/{id}/input_items"),
        ("/v1/responses/r/cancel", "/v1/responses/r/cancel"),  # not by GET
        ("/any/chat/completions/c1", "/any/chat/completions/{id}"),
        ("/v1/responses/compact", "/v1/responses/compact"),
        ("/v1/responses/input_tokens", "/v1/responses/input_tokens"),
        ("/v1/videos/edits", "/v1/videos/edits"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/models/m", "/v1/models/m"),
        ("/unknown/thing", "/unknown/thing"),
        ("/", "/"),
    ],
)
def test_ids_do_not_make_endpoints_of_their_own(path: str, shown: str) -> None:
    assert PathPolicy(allow_all=True).route(b"GET", path.encode()).endpoint == shown


@pytest.mark.system
def test_a_verb_that_reads_nothing_loads_no_readers() -> None:
    code = (
        "import sys; from llm_metrics_proxy.cli.app import application; application(); "
        "sys.exit('llm_metrics_proxy.wire.endpoints' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
