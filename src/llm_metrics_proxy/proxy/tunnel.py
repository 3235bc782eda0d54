"""A connection after a 101: what passes through it each way, counted and read on the side. Pure;
``tunnel_session`` moves the bytes.

The server's direction is read by ``reader`` as any answer is. Of the client's, which is masked, only what asks for the
first response is read, where the reader wants it; the rest is counted.
"""

from typing import Final

from llm_metrics_proxy.proxy.session_times import SessionTimes
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.apis.openai_realtime import RealtimeReader
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.deflate import Deflate
from llm_metrics_proxy.wire.dialects import Dialect, SessionReader
from llm_metrics_proxy.wire.websocket import FrameReader

_MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024


class Tunnel:
    """One session. ``reader`` is fed by the exchange with what the server sends."""

    __slots__ = ("_from_client", "reader", "times")

    def __init__(self, dialect: Dialect | None = None, deflate: Deflate | None = None) -> None:
        """``deflate``: how messages are compressed. A session of no known dialect is read as Realtime's."""
        make = (None if dialect is None else dialect.session_reader) or RealtimeReader
        self.reader: SessionReader = make(deflate)
        self._from_client = FrameReader.of_client(_MAX_REQUEST_BYTES if self.reader.reads_requests else 0, deflate)
        self.times = SessionTimes()

    def __repr__(self) -> str:
        return f"<Tunnel client: {self._from_client!r}, server: {self.reader.frames!r}>"

    def client_said(self, data: bytes, at: int = 0) -> RequestFacts | None:
        """The client's next bytes, which came ``at`` then; the facts of the first request, if they complete it."""
        frames = self._from_client
        before, facts = frames.messages, None
        for message in frames.feed(data):
            facts = self.reader.asked(message)
            if facts is not None:
                frames.want_no_more()
                break
        if frames.messages > before:
            self.times.asked(at)
        if frames.closing:
            self.reader.client_ends()
        return facts

    @property
    def held_bytes(self) -> int:
        """Of a request that is not complete."""
        return self._from_client.held_bytes

    def let_go_of_request(self) -> None:
        """There is no room for it: it passes unread."""
        self._from_client.want_no_more()

    def client_left(self) -> None:
        """The client's connection is gone."""
        self.reader.client_ends()

    def describe(self, record: RequestRecord) -> None:
        """Frames each way, and the newest error, which is kept also where the session went on.

        A direction that was not WebSocket's has an unknown number of frames.
        """
        received, sent, error = self._from_client, self.reader.frames, self.reader.error
        record.websocket_frames_received = None if received.broken else received.frames
        record.websocket_frames_sent = None if sent.broken else sent.frames
        if error is not None:
            record.upstream_error_code, record.upstream_error_type = error.code, error.type
            record.error_message = error.message

    def describe_times(self, record: RequestRecord) -> None:
        """In the place of those that the exchange counts from the handshake."""
        if self.reader.reads_requests:
            self.times.describe(record)
