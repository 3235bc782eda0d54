"""Whether a browser has a file already: the header If-None-Match (RFC 9110 section 13.1.2)."""

import re
from typing import Final

from starlette.datastructures import Headers

# Without W/, for the comparison is the weak one: a reverse proxy that packs an answer makes its tag a weak one.
_OPAQUE_TAG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


def has_it(headers: Headers, etag: str) -> bool:
    """Whether the request is to be answered with 304. ``etag``: a strong one, of what would be sent."""
    given = ",".join(headers.getlist("if-none-match")).strip()
    return given == "*" or etag in _OPAQUE_TAG.findall(given)
