"""Forms that are uploaded: their small fields, whatever else is in them and however they are cut."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.multipart import MAX_HEAD_BYTES, MAX_VALUE_BYTES, FormReader, boundary_of
from tests.wire.cuts import CALM, cut, three_ways

B = b"----x1"


def part(name: str, value: bytes, extra: bytes = b"", head: bytes = b"") -> bytes:
    disposition = b'Content-Disposition: form-data; name="%b"%b' % (name.encode(), extra)
    return b"--%b\r\n%b%b\r\n\r\n%b\r\n" % (B, head, disposition, value)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--%b--\r\n" % B


FILE = part("file", b"RIFF\r\n--\r\n\xff\x00" * 500, b'; filename="a.wav"\r\nContent-Type: audio/wav')
FIELDS = [part("model", b"whisper-1"), part("stream", b"true"), part("n", b"2"), part("user", b"u-1"),
          part("temperature", b"0.2"), part("language", b"de"), part("response_format", b"json")]  # fmt: skip
READ = RequestFacts(model="whisper-1", is_streaming=True, choice_count=2, user="u-1", temperature=0.2)


def facts(body: bytes, boundary: bytes = B) -> RequestFacts:
    found = []
    for pieces in three_ways(body):
        reader = FormReader(boundary)
        for piece in pieces:
            reader.feed(piece)
        found.append((reader.facts(), reader.ended))
    assert all(other == found[0] for other in found), found
    return found[0][0]


@pytest.mark.parametrize("body", [form(*FIELDS, FILE), form(FILE, *FIELDS), form(*FIELDS[:3], FILE, *FIELDS[3:])])
def test_fields_before_and_after_the_file_are_read(body: bytes) -> None:
    assert facts(body) == READ


@pytest.mark.parametrize(
    "body",
    [
        form(part("model", b"m", b"\r\nContent-Type: text/plain; charset=utf-8")),
        form(part("model", b"m", head=b"Content-Length: 1\r\n")),
        form(b"--%b\r\ncontent-disposition:form-data;NAME=model\r\n\r\nm\r\n" % B),
        form(b'--%b\r\nContent-Disposition: form-data;\r\n name="model"\r\n\r\nm\r\n' % B),
        form(b"--%b  \t\r\n" % B + part("model", b"m").partition(b"\r\n")[2]),
        b"a preamble\r\n" + form(part("model", b"m")) + b"an epilogue",
        form(b"--%b\r\n\r\nno head\r\n" % B, part("model", b"m")),
        form(part("other", b"x\r\n------x1y\r\nz"), part("model", b"m")),  # what only begins like the delimiter
        form(part("model", b"m"), part("model", b"another")),
        form(part("model", b"a file", b'; filename="model"'), part("model", b"m")),
        form(b'--%b\r\nContent-Disposition: form-data; filename="; name=user;"\r\n\r\nno\r\n' % B, part("model", b"m")),
        form(part("empty", b""), b'--%b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' % B, part("model", b"m")),
    ],
)
def test_ways_to_write_a_form(body: bytes) -> None:
    assert facts(body) == RequestFacts(model="m")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"--", form(), form(FILE), form(part("Model", b"m")), form(part("model", b"")),
        form(part("model", b"x" * (MAX_VALUE_BYTES + 1))), form(part("n", b"two"), part("temperature", b"nan")),
        form(part("other", b"", b"; x=" + b"y" * MAX_HEAD_BYTES), part("model", b"m")),
        part("model", b"m")[:-2], form(part("stream", b"false")), form(part("n", b"1e3")),
    ],
)  # fmt: skip
def test_what_is_not_there_or_cannot_be_understood_says_nothing(body: bytes) -> None:
    assert facts(body) == RequestFacts()


def test_a_form_that_is_cut_short_says_what_came() -> None:
    assert facts(form(FIELDS[0], FILE)[:-100]) == RequestFacts(model="whisper-1")


def test_it_says_when_a_fact_has_come_and_when_no_more_will() -> None:
    reader = FormReader(B)
    assert [reader.feed(piece) for piece in (FILE, FIELDS[0], b"--" + B, b"--", FIELDS[1])] == [
        False, False, False, True, False
    ]  # fmt: skip
    assert (reader.model, reader.ended) == ("whisper-1", True)


def test_of_a_file_nothing_is_held_and_looking_at_it_is_quick() -> None:
    reader = FormReader(B)
    reader.feed(FILE[:200])
    began = time.process_time()
    for _ in range(200):
        reader.feed(b"\r\n--" + b"\0" * 65_536)
        assert len(reader._held) < 100
    assert time.process_time() - began < 5
    reader.feed(b"\r\n" + FIELDS[0] + b"--" + B + b"--")
    assert reader.model == "whisper-1"


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=b", b"b"),
        (b'Multipart/Form-Data;charset=utf-8;Boundary="a b;c"', b"a b;c"),
        (b"multipart/form-data", None),
        (b"multipart/form-data; boundary=" + b"b" * 71, None),
        (b"multipart/mixed; boundary=b", None),
        (b"application/json; boundary=b", None),
        (None, None),
    ],
)
def test_boundaries(content_type: bytes | None, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


NAMES = st.sampled_from(["model", "n", "file", "stream", "prompt[]"])
VALUES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"\r\n", b"x--" + B, b"\r\n--" + B[:-1], b"\r\n--" + B + b"x", b"\r\n--" + B + b" \t x", b"m"]),
)


@given(st.data(), st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=5))
@CALM
def test_any_form_is_read_as_a_slow_oracle_reads_it(data: st.DataObject, parts: list[tuple[str, bytes, bool]]) -> None:
    body = form(*(part(name, value, b'; filename="f"' * is_file) for name, value, is_file in parts))
    expected: dict[str, str] = {}
    for name, value, is_file in parts:
        if not is_file:
            expected.setdefault(name, value.decode("utf-8", "replace").strip())
    reader = FormReader(B)
    for piece in data.draw(cut(body)):
        reader.feed(piece)
    assert (reader.facts().model or "") == expected.get("model", "")
    assert reader.ended


@given(st.data(), st.binary(max_size=200), st.integers(0, 60), st.integers(0, 60))
@CALM
def test_damage_is_read_alike_however_it_is_cut(data: st.DataObject, noise: bytes, start: int, length: int) -> None:
    whole = form(*FIELDS[:2], FILE[:120] + b"\r\n", FIELDS[3])
    body = whole[:start] + noise + whole[start + length :]
    one, many = FormReader(B), FormReader(B)
    one.feed(body)
    for piece in data.draw(cut(body)):
        many.feed(piece)
    assert (one.facts(), one.ended) == (many.facts(), many.ended)
