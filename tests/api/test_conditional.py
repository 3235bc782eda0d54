"""If-None-Match, as browsers and reverse proxies send it."""

from starlette.datastructures import Headers

from llm_metrics_proxy.api.conditional import has_it


def same_tags(etag: str) -> dict[str, int]:
    """What may be sent about a file with this tag, and the status that it gets."""
    return {
        etag: 304,
        f"W/{etag}": 304,
        f'"a,b", W/{etag} , "c"': 304,
        f'"a",{etag}': 304,
        " * ": 304,
        "": 200,
        '"other"': 200,
        etag.strip('"'): 200,
        f"{etag[:-1]}x{etag[-1]}": 200,
        f'"*", W/"{etag[2:]}': 200,
    }


def test_several_headers_are_one_list() -> None:
    headers = Headers(raw=[(b"if-none-match", b'"a"'), (b"if-none-match", b'W/"b"')])
    assert [has_it(headers, tag) for tag in ('"a"', '"b"', '"c"')] == [True, True, False]
    assert not has_it(Headers(), '"a"')
