"""Heads seen before: what follows from a head alone is worked out once and remembered by the head's exact bytes.

A client's SDK sends the same head with every request, except the digits of Content-Length. So a read that holds one
whole message, whose head was seen before byte for byte save for those digits, needs neither the parser nor the rules
again: both would say what they said the first time. Nor need the next message of the same connection be searched for
its parts: ``NewestHead`` compares it with the last one. What makes this sound:

* only heads that the strict parser accepted are learnt, from reads that held exactly one message framed by one
  Content-Length (or by none, without a body);
* the digits are checked here (at most 12 decimal digits) and must fit the read exactly;
* everything else, and every head that arrives in more than one piece, goes through the parser.

The head of a stream, whose end its chunks tell, is known by all of its bytes (``stream_begun``), if the parser said
that the connection is kept behind it. What follows it is read as behind any other.
"""

from typing import Final, Generic, NamedTuple, TypeVar

_MAX_PLANS: Final = 1024
_MAX_KEY_BYTES: Final = 4096
_MAX_LENGTH_DIGITS: Final = 12
_END: Final = b"\r\n\r\n"
_HTTP_1: Final = b"HTTP/1."
_LENGTH_SPELLINGS: Final = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_SPELLING_BYTES: Final = len(_LENGTH_SPELLINGS[0])

Plan = TypeVar("Plan")


# (key: the head without the digits of Content-Length, where the body starts, the body's length in bytes)
WholeMessage = tuple[bytes, int, int]


def whole_message(data: bytes) -> WholeMessage | None:
    """Take ``data`` for one whole message; ``None`` if it is more, less, or not framed by Content-Length."""
    end = data.find(_END)
    if end < 0 or end > _MAX_KEY_BYTES:
        return None
    at = _digits_at(data, end)
    body_start = end + 4
    if at < 0:
        return (data[:end], body_start, 0) if len(data) == body_start else None
    stop = data.find(b"\r\n", at)
    digits = data[at:stop]
    if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
        return None
    length = int(digits)
    if len(data) != body_start + length:
        return None
    return data[:at] + data[stop:end], body_start, length


def stream_begun(data: bytes) -> bytes:
    """The head that ``data`` begins with, as the key of a message whose end its chunks tell; empty if there is none.

    No key of a whole message has the blank line at its end.
    """
    end = data.find(_END, 0, _MAX_KEY_BYTES)
    return data[: end + len(_END)] if end > 0 and data.startswith(_HTTP_1) else b""


def _digits_at(head: bytes, end: int) -> int:
    """Where the digits of Content-Length begin; below 0: nowhere before ``end``."""
    at = head.find(_LENGTH_SPELLINGS[0], 0, end)
    if at < 0:
        at = head.find(_LENGTH_SPELLINGS[1], 0, end)
    return at if at < 0 else at + _SPELLING_BYTES


class KnownHead(NamedTuple, Generic[Plan]):
    """A head that was seen before: what stands around the digits of its Content-Length. Without, ``after`` is empty."""

    before: bytes
    after: bytes
    plan: Plan


class Plans(Generic[Plan]):
    """Heads by key. Forgets everything when full: heads that never repeat must not cost more than a lookup."""

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead[Plan]] = {}
        self.get = self._heads.get

    def learn(self, message: WholeMessage, plan: Plan) -> None:
        """Remember what a head means."""
        if len(self._heads) >= _MAX_PLANS:
            self._heads.clear()
        key = message[0]
        at = _digits_at(key, len(key))
        self._heads[key] = KnownHead(key, b"", plan) if at < 0 else KnownHead(key[:at], key[at:] + _END, plan)

    def __len__(self) -> int:
        return len(self._heads)


class NewestHead(Generic[Plan]):
    """The head with a Content-Length that a connection had last: the next one differs in its digits or not at all."""

    __slots__ = ("_head", "_head_bytes")

    def __init__(self) -> None:
        self._head: KnownHead[Plan] | None = None
        self._head_bytes = 0

    def match(self, data: bytes) -> tuple[Plan, bytes] | None:
        """The plan and the body, if ``data`` is one whole message under that head."""
        known, size = self._head, self._head_bytes
        if known is None:
            return None
        before, after, plan = known
        head = b"%b%d%b" % (before, len(data) - size, after)
        return (plan, data[size:]) if len(head) == size and data.startswith(head) else None

    def look_up(self, plans: Plans[Plan], message: WholeMessage, data: bytes) -> tuple[Plan, bytes] | None:
        """The same among all heads that are known; that of ``message``, which ``data`` is, becomes the newest."""
        known = plans.get(message[0])
        if known is None:
            return None
        if known.after:
            self._head, self._head_bytes = known, message[1]
        return known.plan, data[message[1] :]
