"""Who asked, without what must not be kept."""

import re
import time

import pytest

from llm_metrics_proxy.proxy.identity import KeyIds, RequestIds, WallClock, agent_of, origin_of, tags_of, trace_of


def test_request_ids_are_32_hex_digits_and_never_repeat() -> None:
    first, second = RequestIds(), RequestIds()
    ids = [source.next() for source in (first, second) for _ in range(2000)]
    assert len(set(ids)) == 4000
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_the_wall_clock_is_iso_8601_and_crosses_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WallClock()
    told = iter((1_767_225_599_999_999_999, 1_767_225_600_000_000_000, 1_767_225_600_000_001_999))
    monkeypatch.setattr(time, "time_ns", lambda: next(told))
    assert [clock.now() for _ in range(3)] == [
        "2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000001Z",
    ]  # fmt: skip


def test_a_key_has_one_id_wherever_it_stands_and_another_under_another_secret() -> None:
    ids = KeyIds(b"secret")
    bearer, lower, header = (
        ids.of({"authorization": b"Bearer sk-1"}), ids.of({"authorization": b"bearer  sk-1"}),
        ids.of({"api_key": b"sk-1"}),
    )  # fmt: skip
    assert bearer == lower == header
    assert re.fullmatch("[0-9a-f]{12}", bearer or "")
    assert ids.of({"api_key": b"sk-2"}) != bearer
    assert KeyIds(b"other").of({"api_key": b"sk-1"}) != bearer
    assert ids.of({}) is None
    assert ids.of({"api_key": b""}) is None


@pytest.mark.parametrize(
    ("target", "is_known"),
    [
        (b"/v1beta/models/g:generateContent?key=sk-1", True),
        (b"/v1beta/models/g:streamGenerateContent?alt=sse&key=sk%2D1&x=2", True),
        (b"/v1/models?key=", False),
        (b"/v1/models?monkey=sk-1", False),
        (b"/v1/key=sk-1", False),
    ],
)
def test_a_key_in_the_query_is_the_same_key(target: bytes, is_known: bool) -> None:
    ids = KeyIds(b"secret")
    assert ids.of({}, target) == (ids.of({"api_key": b"sk-1"}) if is_known else None)
    assert ids.of({"api_key": b"sk-2"}, target) == ids.of({"api_key": b"sk-2"})


def test_who_signed_for_aws_is_the_key_and_the_signature_never() -> None:
    ids = KeyIds(b"secret")

    def signed(key: bytes, day: bytes, signature: bytes, algorithm: bytes = b"AWS4-HMAC-SHA256") -> str | None:
        scope = b"%b/%b/us-east-1/bedrock/aws4_request" % (key, day)
        told = b"%b Credential=%b, SignedHeaders=host;x-amz-date, Signature=%b" % (algorithm, scope, signature)
        return ids.of({"authorization": told})

    one = signed(b"AKIA1", b"20261129", b"a" * 64)
    assert one == signed(b"AKIA1", b"20261130", b"b" * 64) == ids.of({"authorization": b"Bearer AKIA1"})
    assert one == signed(b"AKIA1", b"20261129", b"c" * 64, b"AWS4-ECDSA-P256-SHA256")
    assert one != signed(b"AKIA2", b"20261129", b"a" * 64)
    assert ids.of({"authorization": b"AWS4-HMAC-SHA256 Signature=x"}) not in {one, None}


def test_keys_that_never_repeat_cost_bounded_memory() -> None:
    ids = KeyIds(b"secret")
    for number in range(12_000):
        ids.of({"api_key": b"%d" % number})
    assert len(ids._known) <= 10_000


@pytest.mark.parametrize(
    ("facts", "origin"),
    [
        ({}, None),
        ({"metrics_origin": b"nightly job", "origin": b"https://a"}, "nightly job"),
        ({"origin": b"https://a.example", "referer": b"https://b/x"}, "https://a.example"),
        ({"referer": b"https://u:p@b.example:8/x?secret=1#y"}, "https://b.example:8"),
        ({"referer": b"/relative?secret"}, None),
        ({"referer": b"http://[::1/x"}, None),
        ({"origin": b"\xff" * 300}, "\ufffd" * 256),
    ],
)
def test_origins(facts: dict[str, bytes], origin: str | None) -> None:
    assert origin_of(facts) == origin


@pytest.mark.parametrize(
    ("value", "agent"),
    [
        (None, None), (b"", None), (b"curl/8.1", "curl/8.1"), (b"OpenAI/Python 2.1 (linux; x)", "OpenAI/Python 2.1"),
        (b"Mozilla/5.0 (X11) Gecko", "Mozilla/5.0"), (b"a" * 300, "a" * 256),
    ],
)  # fmt: skip
def test_agents(value: bytes | None, agent: str | None) -> None:
    assert agent_of({} if value is None else {"user_agent": value}) == agent


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (None, None),
        (b"", None),
        (b"team=red", "team=red"),
        (b"team=red, env=prod", "env=prod,team=red"),
        (b"b=2,a=1,b=3", "a=1,b=3"),
        (b"a=b=c", "a=b=c"),
        (b"note=two words", "note=two words"),
        (b"team,=x,y=, sp ace=1,ok=1", "ok=1"),
        (b"k=caf\xc3\xa9,k2=\x01,ok=1", "ok=1"),
        (b"k" * 65 + b"=1," + b"k=" + b"v" * 129, None),
        (b"k" * 64 + b"=" + b"v" * 128, "k" * 64 + "=" + "v" * 128),
        (b",".join(b"%02d=x" % number for number in range(99)) + b",00=y",
         ",".join(f"{number:02d}={'x' if number else 'y'}" for number in range(16))),
    ],
)  # fmt: skip
def test_tags(value: bytes | None, tags: str | None) -> None:
    assert tags_of({} if value is None else {"metrics_tag": value}) == tags


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        (None, None),
        (f"00-{TRACE}-{PARENT}-01", (TRACE, PARENT, True)),
        (f"00-{TRACE}-{PARENT}-00", (TRACE, PARENT, False)),
        (f"00-{TRACE}-{PARENT}-02", (TRACE, PARENT, False)),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"cc-{TRACE}-{PARENT}-01-more", (TRACE, PARENT, True)),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE[1:]}-{PARENT}-01", None),
        ("nonsense", None),
    ],
)
def test_traces(value: str | None, trace: tuple[str, str, bool] | None) -> None:
    assert trace_of({} if value is None else {"traceparent": value.encode()}) == trace
