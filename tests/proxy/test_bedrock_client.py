"""AWS's own client, a Bedrock that checks signatures, and the proxy between them: who may sign what, and what is told.

botocore is what boto3 is made of; boto3 only makes its clients.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from llm_metrics_proxy.metrics_service import judge
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.error_taxonomy import NEWEST, Classification
from tests.proxy.bedrock_server import BEARER, ID, KEY_ID, SECRET, bedrock_handler
from tests.proxy.harness import ProxyWorker
from tests.upstream import FakeUpstream

pytestmark = pytest.mark.system

HOST = "bedrock-runtime.us-east-1.amazonaws.com"
PROFILE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{PROFILE}"
HELLO: Any = [{"role": "user", "content": [{"text": "Hi"}]}]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(bedrock_handler) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, server: FakeUpstream) -> Iterator[ProxyWorker]:
    """In front of a server that is called what the real one is called."""
    with ProxyWorker(tmp_path_factory.mktemp("bedrock"), server.url, upstream_host_header=HOST) as proxy:
        yield proxy


@pytest.fixture
def proxy(worker: ProxyWorker) -> Iterator[ProxyWorker]:
    worker.forget()
    yield worker
    worker.assert_every_request_has_one_record()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of this machine's own."""
    for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of the service at a URL; ``through``: the port of an HTTP proxy."""
    with ExitStack() as stack:

        def client(url: str, *, through: int | None = None, secret: str = SECRET) -> Any:
            more = {} if through is None else {"proxies": {"http": f"http://127.0.0.1:{through}"}}
            made = botocore.session.get_session().create_client(
                "bedrock-runtime", region_name="us-east-1", endpoint_url=url,
                config=Config(retries={"max_attempts": 0}, **more),
                aws_access_key_id=KEY_ID, aws_secret_access_key=secret,
            )  # fmt: skip
            stack.callback(made.close)
            return made

        yield client


@pytest.fixture
def signing(connect: Connect, proxy: ProxyWorker) -> Any:
    """Signs for the real server's name, and sends it through the proxy as through any HTTP proxy."""
    return connect(f"http://{HOST}", through=proxy.port)


@pytest.fixture(scope="module")
def keyed_worker(tmp_path_factory: pytest.TempPathFactory, server: FakeUpstream) -> Iterator[ProxyWorker]:
    """Has a key of Bedrock's own, and gives it to every request."""
    backend = {"name": "aws", "url": server.url, "dialect": "bedrock", "api_key": BEARER}
    with ProxyWorker(tmp_path_factory.mktemp("keyed"), "", backends=[backend]) as proxy:
        yield proxy


def told(client: Any, operation: str, **asked: Any) -> Any:
    """All that the client makes of an answer."""
    answer = getattr(client, operation)(**asked)
    answer.pop("ResponseMetadata")
    stream = answer.pop("stream", None) or (answer["body"] if operation.endswith("_stream") else None)
    if stream is not None:
        answer["body"] = list(stream)
    elif "body" in answer:
        answer["body"] = answer["body"].read()
    return answer


COUNTED = {"prompt_tokens": 7520, "completion_tokens": 386, "total_tokens": 7906, "cached_tokens": 2,
           "cache_write_tokens": 7500, "cache_write_5m_tokens": 7500, "finish_reason": "tool_use", "tool_call_count": 1,
           "service_tier": "priority",
           "server_total_ms": 1207.0, "usage_source": "reported", "max_tokens": 99, "message_count": 1}  # fmt: skip
CALLS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "converse": (PROFILE, "converse", {"messages": HELLO, "inferenceConfig": {"maxTokens": 99}},
                 {"dialect": "bedrock_converse", "is_streaming": False, "response_id": ID[1], **COUNTED}),
    "converse-stream": (ARN, "converse_stream", {"messages": HELLO, "inferenceConfig": {"maxTokens": 99}},
                        {"dialect": "bedrock_converse_stream", "is_streaming": True, "content_chunks": 6,
                         "response_id": ID[1], **COUNTED}),
    "invoke": ("anthropic.claude-x", "invoke_model", {"body": b'{"max_tokens":9,"messages":[{"role":"user"}]}'},
               {"dialect": "bedrock_invoke", "is_streaming": False, "max_tokens": 9, "response_model": "claude-x",
                "finish_reason": "tool_use", "usage_source": "reported"}),
    "invoke-stream": (ARN, "invoke_model_with_response_stream", {"body": b'{"max_tokens":9,"messages":[]}'},
                      {"dialect": "bedrock_invoke_stream", "is_streaming": True, "prompt_tokens": 16731,
                       "completion_tokens": 126, "cached_tokens": 14486, "cache_write_tokens": 2238,
                       "content_chunks": 4, "server_total_ms": 4069.0, "response_id": "msg_bdrk_1"}),
    "embeddings": ("cohere.embed-v4:0", "invoke_model", {"body": b'{"texts":["a","b"],"input_type":"search_query"}'},
                   {"dialect": "bedrock_invoke", "prompt_tokens": 12, "completion_tokens": 0, "message_count": 2,
                    "server_total_ms": 926.0}),
    "count": ("amazon.nova-lite-v1:0", "count_tokens", {"input": {"converse": {"messages": HELLO}}},
              {"dialect": "bedrock_count_tokens", "usage_source": "none", "prompt_tokens": None}),
}  # fmt: skip


def assert_told(name: str, through: Any, direct: Any, proxy: ProxyWorker) -> None:
    model, operation, asked, facts = CALLS[name]
    assert told(through, operation, modelId=model, **asked) == told(direct, operation, modelId=model, **asked)
    record = proxy.record()
    assert {fact: getattr(record, fact) for fact in facts} == facts
    assert (record.outcome, record.model) == ("completed", model)
    if record.is_streaming:
        assert record.time_to_first_token_ms is not None
    assert (record.user_agent or "").startswith("Botocore/")


@pytest.mark.parametrize("name", CALLS)
def test_the_client_is_told_the_same_and_the_record_what_happened(
    name: str, signing: Any, connect: Connect, server: FakeUpstream, proxy: ProxyWorker
) -> None:
    assert_told(name, signing, connect(server.url), proxy)


@pytest.mark.parametrize("name", CALLS)
def test_a_key_of_the_backends_replaces_any_signature(
    name: str, connect: Connect, keyed_worker: ProxyWorker, server: FakeUpstream
) -> None:
    keyed_worker.forget()
    through = connect(f"http://127.0.0.1:{keyed_worker.port}", secret="anything")
    assert_told(name, through, connect(server.url), keyed_worker)
    received = server.requests[-2]
    assert received.header("authorization") == f"Bearer {BEARER}"


def test_the_path_and_the_signed_fields_arrive_as_they_were_signed(
    signing: Any, server: FakeUpstream, proxy: ProxyWorker
) -> None:
    signing.converse(modelId=ARN, messages=HELLO)
    received = server.requests[-1]
    assert received.target == f"/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/converse"
    assert received.header("host") == HOST
    assert proxy.record().endpoint == received.target


@pytest.mark.parametrize("hosts", [[], [HOST]])
def test_a_proxy_for_this_machine_alone_must_know_the_servers_name(
    hosts: list[str], connect: Connect, server: FakeUpstream, tmp_path: Path
) -> None:
    with ProxyWorker(tmp_path, server.url, upstream_host_header=HOST, allowed_hosts=hosts) as proxy:
        asking = connect(f"http://{HOST}", through=proxy.port)
        if hosts:
            assert asking.converse(modelId=PROFILE, messages=HELLO)["stopReason"] == "tool_use"
        else:
            with pytest.raises(ClientError, match="421"):
                asking.converse(modelId=PROFILE, messages=HELLO)


def test_who_signed_is_one_key_whatever_the_signature(signing: Any, proxy: ProxyWorker) -> None:
    for number in range(2):
        signing.converse(modelId=PROFILE, messages=HELLO * (number + 1))
    ids = {record.api_key_id for record in proxy.records(2)}
    assert len(ids) == 1
    assert None not in ids


def judged(proxy: ProxyWorker) -> tuple[RequestRecord, Classification]:
    """The record, and what its error is called."""
    record = proxy.record()
    return record, judge(record, NEWEST)


def test_a_signature_for_the_proxys_own_name_is_refused_by_the_server(connect: Connect, proxy: ProxyWorker) -> None:
    """It signs the Host that it sends; the server gets its own name."""
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        connect(f"http://127.0.0.1:{proxy.port}").converse(modelId=PROFILE, messages=HELLO)
    _, found = judged(proxy)
    assert (found.category, found.type) == ("auth", "unauthenticated")


@pytest.mark.parametrize(
    ("model", "status", "kind", "category", "type_"),
    [
        ("too-long", 400, "ValidationException", "request", "context_length"),
        ("throttled", 429, "ThrottlingException", "limit", "rate_limit"),
        ("loading", 429, "ModelNotReadyException", "upstream", "overloaded"),
        ("failing", 424, "ModelErrorException", "upstream", "internal"),
    ],
)
def test_an_errors_type_is_read_from_the_head(
    signing: Any, proxy: ProxyWorker, model: str, status: int, kind: str, category: str, type_: str
) -> None:
    with pytest.raises(ClientError) as caught:
        signing.converse(modelId=model, messages=HELLO)
    assert caught.value.response["Error"]["Code"] == kind
    record, found = judged(proxy)
    assert (record.status_code, record.upstream_error_type) == (status, kind)
    assert (found.category, found.type) == (category, type_)
    assert record.error_message == caught.value.response["Error"]["Message"]


def test_an_exception_in_the_middle_reaches_the_client_and_the_record(signing: Any, proxy: ProxyWorker) -> None:
    stream = signing.converse_stream(modelId="breaks", messages=HELLO)["stream"]
    with closing(stream), pytest.raises(EventStreamError, match="It broke"):
        list(stream)
    record, found = judged(proxy)
    assert (found.outcome, found.type, record.upstream_error_type, record.content_chunks) == (
        "upstream_error", "internal", "modelStreamErrorException", 3
    )  # fmt: skip
