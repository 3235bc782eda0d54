"""The chunked coding: what is valid, what is not, what is too much, and that cutting changes nothing."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.chunked import ChunkedError, ChunkedReader, one_chunk
from tests.examples import examples

LIMIT = 5000
EXTENSIONS = [
    b"", b";a", b";a=b", b"; a=b", b" ;a=b", b"\t;\ta\t=\tb", b";a=b;c", b"; a = \"b\" ; c", b";a=\"\"", b";a=\"b;c\"",
    b";a=\"\\\"\"", b";a=\"\\\\\"", b";q=\"caf\xc3\xa9\"", b";a=\"\t \"", b";chunk-signature=0123456789abcdef",
]  # fmt: skip
BAD_LINES = [
    b"", b" ", b" 2", b"2 ", b"2\t", b"+2", b"-2", b"0x2",
    b"2_0", b"g", b"2;", b"2; ", b"2;;a", b"2;=b", b"2;a=", b"2;a= ",
    b"2;a=b c", b"2;a==b", b"2;a=\"b", b"2;a=b\"",
    b"2;a=\"b\"c", b"2;a=\"b\\\"", b"2;a=\"\x01\"", b"2;a=\"\\\x01\"", b"2;a b",
    b"2;a\x00", b"2 a", b"2,a", b"2;a=\"b\nc\"", b"2;a=\"b\rc\"", b"2\xa0", b"\xb2", b"\xef\xbc\x92", b"1e3.0",
    b"fffffffffffffffff", b"1000000000000000",
]  # fmt: skip


def read(*pieces: bytes) -> tuple[bytes, bool, bytes] | str:
    """The body, whether it ended, and what came behind; or why it is none."""
    reader, body = ChunkedReader(LIMIT), list[bytes]()
    behind = b""
    try:
        for piece in pieces:
            if reader.ended:
                behind += piece
            elif reader.between_chunks and (whole := one_chunk(piece)) is not None:
                body.append(whole)
            else:
                reader.feed(piece, body)
    except ChunkedError as error:
        return str(error)
    return b"".join(body), reader.ended, reader.rest + behind


def each_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_extensions_are_parsed_and_end_here(extension: bytes) -> None:
    data = b"3%b\r\nabc\r\n0A%b\r\n0123456789\r\n000%b\r\nT: 1\r\nU:\r\n\r\nbehind" % (extension, extension, extension)
    assert read(data) == read(*each_byte(data)) == (b"abc0123456789", True, b"behind")


@pytest.mark.parametrize("line", BAD_LINES)
def test_what_is_no_size_is_refused(line: bytes) -> None:
    data = b"1\r\nx\r\n" + line + b"\r\nab\r\n0\r\n\r\n"
    assert isinstance(read(data), str)
    assert isinstance(read(*each_byte(data)), str)


@pytest.mark.parametrize(
    "data",
    [
        b"2\nab\r\n0\r\n\r\n", b"2\r\nab\n0\r\n\r\n", b"2\r\nab0\r\n\r\n", b"2\r\nabc\r\n0\r\n\r\n",
        b"2\r\nab\r0\r\n\r\n",
        b"2\rab\r\n0\r\n\r\n", b"2\r\nab\r\n0\n\r\n", b"0\r\nT\r\n\r\n", b"0\r\n: 1\r\n\r\n", b"0\r\nT : 1\r\n\r\n",
        b"0\r\nT: 1\r\n 2\r\n\r\n", b"0\r\nT: \x00\r\n\r\n", b"0\r\nT: 1\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTRANSFER-ENCODING: chunked\r\n\r\n", b"0\r\nGET / HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_lines_end_in_crlf_and_trailers_are_fields(data: bytes) -> None:
    assert isinstance(read(data), str)
    assert isinstance(read(*each_byte(data)), str)


@pytest.mark.parametrize(
    "data",
    [
        b"2;" + b"a" * 10_000_000,
        b"2;a=\"" + b"a" * 10_000_000,
        b"2;a\r\nab\r\n" + b"1;" + b"a" * 3000 + b"\r\nx\r\n" + b"1;" + b"a" * 3000 + b"\r\nx\r\n",
        b"1" + b";abcdefghijklmnop=1" * 100 + b"\r\nx\r\n" + (b"1" + b";abcdefghijklmnop=1" * 100 + b"\r\nx\r\n") * 9,
        b"0" * 10_000 + b"2\r\nab\r\n",
        b"0\r\nT: " + b"a" * 5_000_000,
        b"0\r\n" + b"T: 1\r\n" * 1_000_000,
    ],
    ids=["one name", "one value", "few", "many", "zeros", "one trailer", "trailers"],
)  # fmt: skip
def test_what_stands_beside_the_data_has_a_limit(data: bytes) -> None:
    pieces = [data[at : at + 1400] for at in range(0, len(data), 1400)]
    for cut in ([data], pieces):
        found = read(*cut)
        assert isinstance(found, str)
        assert "larger than this proxy allows" in found


def test_signed_chunks_and_small_ones_may_be_as_many_as_they_like() -> None:
    signed = b"10000;chunk-signature=" + b"a" * 64 + b"\r\n" + b"x" * 65536 + b"\r\n"
    small = b"1\r\nx\r\n" * 20_000
    found = read(signed * 20 + small + b"0\r\n\r\n")
    assert isinstance(found, tuple)
    assert (len(found[0]), found[1]) == (20 * 65536 + 20_000, True)


def oracle(data: bytes) -> tuple[bytes, bool, bytes] | None:
    """By the grammar of RFC 9112 section 7.1, slowly, on the whole; ``None``: it is not valid or not complete."""
    token, space = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", rb"[ \t]*"
    quoted = rb'"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t !-~\x80-\xff])*"'
    line = re.compile(
        rb"([0-9a-fA-F]{1,15})(?:%b;%b%b(?:%b=%b(?:%b|%b))?)*\r\n" % (space, space, token, space, space, token, quoted)
    )
    body = b""
    while (match := line.match(data)) is not None:
        size, data = int(match[1], 16), data[match.end() :]
        if not size:
            trailers = re.match(
                rb"((?!content-length:|transfer-encoding:)%b:[\t -~\x80-\xff]*\r\n)*\r\n" % token, data, re.I
            )
            return None if trailers is None else (body, True, data[trailers.end() :])
        if data[size : size + 2] != b"\r\n":
            return None
        body, data = body + data[:size], data[size + 2 :]
    return None


PARTS = st.sampled_from([
    b"0\r\n\r\n", b"1\r\nx\r\n", b"3\r\na\r\n\r\n", b"0", b"1", b"a", b"\r\n",
    b"\r", b"\n", b";", b" ", b"=", b"\"", b"\\",
    b";a=b", b"; a=\"b\"", b"T: 1\r\n", b"Content-Length: 1\r\n", b"x" * 10, b"5;x\r\nhello\r\n",
])  # fmt: skip


@examples(400)
@given(st.lists(PARTS, max_size=12).map(b"".join), st.lists(st.integers(0, 200), max_size=8))
@example(b"1\r\nx\r\n0\r\n\r\nrest", [3])
def test_the_reader_agrees_with_the_grammar_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    expected = oracle(data)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for pieces in ([data], each_byte(data), [data[start:end] for start, end in pairwise(edges) if end > start]):
        found = read(*pieces)
        if isinstance(found, tuple) and found[1]:
            assert found == expected
        else:
            assert expected is None
