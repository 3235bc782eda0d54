"""A connection after a 101: what passes through it each way, counted and read on the side. Pure;
``tunnel_session`` moves the bytes.

The server's direction is read by ``reader`` as any answer is; what clients send is masked, and only counted.
"""

from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.apis.openai_realtime import RealtimeReader
from llm_metrics_proxy.wire.websocket import FrameReader


class Tunnel:
    """One session. ``reader`` is fed by the exchange with what the server sends."""

    __slots__ = ("_from_client", "reader")

    def __init__(self) -> None:
        self.reader = RealtimeReader()
        self._from_client = FrameReader(max_message_bytes=0)

    def __repr__(self) -> str:
        return f"<Tunnel client: {self._from_client!r}, server: {self.reader.frames!r}>"

    def client_said(self, data: bytes) -> None:
        """The client's next bytes."""
        self._from_client.feed(data)
        if self._from_client.closing:
            self.reader.client_ends()

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
