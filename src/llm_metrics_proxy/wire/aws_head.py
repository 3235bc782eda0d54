"""What AWS says in the head of an answer, and not in its body: its id, and the type of an error.

Source: botocore's parsers of REST-JSON services (``x-amzn-requestid``, ``x-amzn-errortype``).
"""

from collections.abc import Mapping
from typing import Final

from llm_metrics_proxy.wire.facts import cut

_ERROR_TYPE: Final = "x-amzn-errortype"
_ID: Final = "x-amzn-requestid"
FIELDS: Final = (_ERROR_TYPE, _ID)


def named_by_aws(fields: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    """(column, value) for each of ``fields`` (by lower-case name) that is there. What a body says stands before it.

    ``ValidationException:http://…`` is a ValidationException; a namespace may stand before it (``#``).
    """
    kind = fields.get(_ERROR_TYPE, b"").decode("latin-1").partition(":")[0].rpartition("#")[2].strip()
    given = (("response_id", cut(fields.get(_ID, b"").decode("latin-1"))), ("upstream_error_type", cut(kind)))
    return tuple((column, value) for column, value in given if value is not None)
