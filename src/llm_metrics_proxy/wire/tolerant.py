"""JSON objects into typed structs that name only what is needed; one wrong value costs that value, not the others.

The fast way is msgspec with the struct's own decoder: everything unnamed is skipped without becoming Python objects.
Only when that fails is the object taken apart, member by member. ``None`` comes back for what is not a JSON object.
"""

import json
import re
from collections.abc import Callable
from functools import cache, partial
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

# Bad JSON or a wrong type; bad UTF-8 in a text that is named (a ValueError); nesting beyond the interpreter's limit.
UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)

# Taking an object apart makes a Python object per member. A body of 64 MiB could hold 30 million of them (3 GB); no
# honest one that we must take apart comes near this number, and with it the peak stays under 100 MB.
MAX_MEMBERS: Final = 500_000

ENCODING_SHOWS_BYTES: Final = 4  # in so many
MISSING: Final = msgspec.Raw()  # the default of a field that is kept as it was written

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u[dD][89a-fA-F][\da-fA-F]{2}|.)", re.S
)
_MAX_INT_DIGITS: Final = 20  # int() of thousands of digits is slow, and beyond 4,300 an error
_LONE_SURROGATE_CHARS: Final = len(rb"\ud83d")


def decode(kind: type[T], data: bytes | msgspec.Raw) -> T | None:
    """``data`` as ``kind``; fields that are missing or unreadable keep their defaults. None: not a JSON object."""
    try:
        return decoder_of(kind)(data)  # type: ignore[no-any-return]
    except UNREADABLE:
        return _odd(kind, data)


def _odd(kind: type[T], data: bytes | msgspec.Raw) -> T | None:
    whole = bytes(data)
    text = as_utf8(whole)
    if text is not whole:
        try:
            return decoder_of(kind)(text)  # type: ignore[no-any-return]
        except UNREADABLE:
            pass
    return _take_apart(kind, text)


def as_utf8(data: bytes) -> bytes:
    """``data`` without a byte-order mark, and if it is UTF-16 or UTF-32 (RFC 4627 section 3: how that shows) not any
    more. JSON has to be UTF-8 by now, without a mark; servers in Python read all of them. UTF-8 stays the same object.
    """
    encoding = json.detect_encoding(data[:ENCODING_SHOWS_BYTES])
    if encoding == "utf-8" or len(data) < ENCODING_SHOWS_BYTES:
        return data
    return data.decode(encoding, "replace").encode()


@cache
def decoder_of(kind: Any) -> Callable[[bytes | msgspec.Raw], Any]:
    """The decoding function for ``kind``; made once, because making one costs more than a decode."""
    return msgspec.json.Decoder(kind).decode


def decode_any(data: bytes | msgspec.Raw) -> Any:
    """Any JSON value, even with a part that strict decoders refuse the whole for. Raises ``UNREADABLE``.

    A number beyond every float becomes infinite, bytes that are not UTF-8 and half characters become U+FFFD.
    """
    try:
        return decoder_of(Any)(data)
    except UNREADABLE:
        text = bytes(data).decode("utf-8-sig", "replace").encode()
        return json.loads(mend_surrogates(text), parse_int=_int)


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else float(digits)


def read_items(value: msgspec.Raw) -> list[msgspec.Raw] | None:
    """The items of a JSON array, unread; None if ``value`` is something else, or has too many to be taken apart."""
    if value is not MISSING and few_members(value):
        try:
            return decoder_of(list[msgspec.Raw])(value)  # type: ignore[no-any-return]
        except UNREADABLE:
            return None
    return None


def count_items(value: msgspec.Raw) -> int | None:
    """How many items the JSON array ``value`` has; None as for ``read_items``."""
    items = read_items(value)
    return None if items is None else len(items)


def few_members(value: bytes | msgspec.Raw) -> bool:
    """Whether ``value`` has no container of more than ``MAX_MEMBERS``: each member but the first has its comma."""
    return len(memoryview(value)) <= 2 * MAX_MEMBERS or bytes(value).count(b",") < MAX_MEMBERS


def mend_surrogates(data: bytes) -> bytes:
    r"""``data`` with lone surrogate escapes as ``\ufffd``.

    JavaScript cuts strings between UTF-16 units and writes the halves as ``\ud83d`` and ``\ude00``; strict decoders
    refuse the whole text for it.
    """
    return _ESCAPE.sub(_mend_escape, data)


def _mend_escape(match: re.Match[bytes]) -> bytes:
    escape = match.group()
    return rb"\ufffd" if len(escape) == _LONE_SURROGATE_CHARS else escape


def _take_apart(kind: type[T], data: bytes | msgspec.Raw) -> T | None:
    if not few_members(data):
        return None
    members = _members(data)
    if members is None:
        return None
    readable = {}
    for name, member, read in _field_readers(kind):
        raw = members.get(member)
        if raw is not None:
            try:
                readable[name] = read(raw)
            except UNREADABLE:
                continue  # this value keeps its default: missing
    return kind(**readable)


def _members(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    read = decoder_of(dict[str, msgspec.Raw])
    try:
        return read(data)  # type: ignore[no-any-return]
    except UNREADABLE:
        pass
    mended = mend_surrogates(bytes(data).decode("utf-8", "replace").encode())
    try:
        return read(mended)  # type: ignore[no-any-return]
    except UNREADABLE:
        return None


@cache
def _field_readers(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, Callable[[msgspec.Raw], Any]], ...]:
    """Attribute, member and reader of each field."""
    hints = get_type_hints(kind)
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return tuple((name, member, _reader_of(hints[name])) for name, member in names)


def _reader_of(hint: Any) -> Callable[[msgspec.Raw], Any]:
    """How to read one member: structs and lists of structs again part by part, anything else whole or not at all."""
    parts = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    for part in parts:
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return partial(decode, part)
        if get_origin(part) is list and issubclass(get_args(part)[0], msgspec.Struct):
            return partial(_decode_items, get_args(part)[0])
    return decode_any if hint is Any else decoder_of(hint)


def _decode_items(kind: type[T], data: msgspec.Raw) -> list[T]:
    items = (decode(kind, item) for item in decoder_of(list[msgspec.Raw])(data))
    return [item for item in items if item is not None]
