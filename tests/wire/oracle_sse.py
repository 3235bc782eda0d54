"""A slow reading of the event stream standard, one character at a time: what ``wire.sse`` is compared with.

It follows the steps of WHATWG HTML section 9.2.6 word for word, on the whole stream at once, plus the two additions
that ``wire.sse`` names (the field ``error`` and the unfinished last event).
"""


def lines_of(stream: bytes) -> tuple[list[bytes], bytes]:
    """The lines that are ended by CRLF, LF or CR, and what is left without an end."""
    lines = []
    line = bytearray()
    position = 0
    while position < len(stream):
        byte = stream[position : position + 1]
        if byte in (b"\r", b"\n"):
            if stream[position : position + 2] == b"\r\n":
                position += 1
            lines.append(bytes(line))
            line.clear()
        else:
            line += byte
        position += 1
    return lines, bytes(line)


def events_of(stream: bytes) -> list[tuple[bytes, bytes]]:
    """Every event as (name, data)."""
    if stream[:3] == b"\xef\xbb\xbf":
        stream = stream[3:]
    lines, rest = lines_of(stream)
    events: list[tuple[bytes, bytes]] = []
    block: list[bytes] = []
    just_dispatched = True  # the first of two line ends that meet ends a line, the second one is the blank line
    for line in lines:
        if line or just_dispatched:
            block.append(line)
            just_dispatched = False
            continue
        dispatch(block, events)
        block = []
        just_dispatched = True
    dispatch([*block, rest], events)
    return events


def dispatch(block: list[bytes], events: list[tuple[bytes, bytes]]) -> None:
    """Interpret a block's lines and add its events."""
    name = b""
    data = b""
    error = b""
    for line in block:
        if line.startswith(b":"):
            continue
        if b":" in line:
            field = line[: line.index(b":")]
            value = line[line.index(b":") + 1 :]
            if value[:1] == b" ":
                value = value[1:]
        else:
            field, value = line, b""
        if field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value
        elif field == b"error":
            error += value + b"\n"
    if error:
        events.append((b"error", error[:-1]))
    if data:
        events.append((name, data[:-1]))
