"""An LLM server that does exactly what a script says, byte by byte, and keeps every byte it received.

    from tests.upstream import CHUNKED, EVENT_STREAM, FakeUpstream, Gate, Reset, Send, chat_events, chunk, head

    def test_a_stream_that_breaks_off_is_passed_on_as_broken() -> None:
        gate = Gate()
        first, *_ = chat_events()
        script = [Send(head(200, EVENT_STREAM, CHUNKED)), Send(chunk(first), cut=7), gate.wait(), Reset()]
        with FakeUpstream(script) as upstream:
            ...                                   # send a request to the proxy in front of upstream.url
            gate.open()
            ...
        assert upstream.requests[0].json()["model"] == "fake-1"
        assert upstream.connections[0].peer_closed.wait(10)

A handler is a script (the same for every request), or a function from the parsed ``Request`` to a script; ``in_turn``
makes one of several scripts. After a script that ended nothing, the connection waits for its next request (keep-alive).
Steps, all plain values:

    Send(data, cut=None, pause_s=0)   write; ``cut`` bytes at a time, with a pause after each piece
    Pause(seconds)                    ends the script early if the client leaves
    Stall()                           say nothing more until the client leaves (or the test ends)
    gate.wait()                       until the test calls ``gate.open()``
    ReadBody(limit=None, piece=65536, pause_s=0)   with ``early=True``: read the request's body, slowly if asked
    Receive(count)                    exactly that many more raw bytes (after a 101, say)
    Echo()                            send back whatever comes until the client ends its side
    HalfClose()                       FIN, and go on reading
    Close()                           FIN; later bytes from the client meet a reset
    Reset()                           RST at once (SO_LINGER 0)

``early=True`` calls the handler when the request's head is in and leaves its body unread. ``on_connect`` is a script
for a fresh connection before anything is read. Anything the handler or the parser raised is raised again when the
``with`` block ends. One thread per connection; loopback only; a port chosen by the kernel.
"""

from tests.upstream.certificate import Certificate
from tests.upstream.conversation import Connection, Handler, Request
from tests.upstream.replies import (
    CHUNKED,
    DONE,
    EVENT_STREAM,
    LAST_CHUNK,
    chat_completion,
    chat_event,
    chat_events,
    chunk,
    chunked,
    compressed,
    error_response,
    head,
    json_response,
    response,
    sse,
    usage,
    usage_event,
)  # fmt: skip
from tests.upstream.server import (
    FakeUpstream,
    in_turn,
    openai_handler,
    stream_script,
    unanswered_port,
    unused_port,
)  # fmt: skip
from tests.upstream.steps import (
    Close,
    Echo,
    Gate,
    HalfClose,
    Pause,
    ReadBody,
    Receive,
    Reset,
    Script,
    Send,
    Stall,
    Step,
)  # fmt: skip

__all__ = [
    "CHUNKED",
    "DONE",
    "EVENT_STREAM",
    "LAST_CHUNK",
    "Certificate",
    "Close",
    "Connection",
    "Echo",
    "FakeUpstream",
    "Gate",
    "HalfClose",
    "Handler",
    "Pause",
    "ReadBody",
    "Receive",
    "Request",
    "Reset",
    "Script",
    "Send",
    "Stall",
    "Step",
    "chat_completion",
    "chat_event",
    "chat_events",
    "chunk",
    "chunked",
    "compressed",
    "error_response",
    "head",
    "in_turn",
    "json_response",
    "openai_handler",
    "response",
    "sse",
    "stream_script",
    "unanswered_port",
    "unused_port",
    "usage",
    "usage_event",
]
