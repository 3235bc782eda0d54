"""What a session through a tunnel leaves in its record."""

import pytest

from llm_metrics_proxy.proxy.tunnel import Tunnel
from llm_metrics_proxy.record import RequestRecord
from tests.wire.apis.test_openai_realtime import done, told
from tests.wire.test_websocket import CLOSE, frame


def described(tunnel: Tunnel) -> RequestRecord:
    record = RequestRecord(request_id="r", timestamp="t", method="GET", endpoint="/v1/realtime")
    tunnel.describe(record)
    return record


def test_frames_are_counted_each_way() -> None:
    tunnel = Tunnel()
    tunnel.client_said(frame(b"x", mask=b"abcd") * 3)
    tunnel.reader.feed(done() * 2)
    record = described(tunnel)
    assert (record.websocket_frames_received, record.websocket_frames_sent) == (3, 2)
    assert (record.upstream_error_code, record.error_message) == (None, None)


def test_what_is_no_websocket_has_no_count() -> None:
    tunnel = Tunnel()
    tunnel.client_said(b"\x3f\x3f")
    tunnel.reader.feed(b"\xff\xff")
    record = described(tunnel)
    assert (record.websocket_frames_received, record.websocket_frames_sent) == (None, None)


@pytest.mark.parametrize("by_frame", [True, False])
def test_an_error_of_a_session_that_the_client_ends_is_kept(by_frame: bool) -> None:
    tunnel = Tunnel()
    tunnel.reader.feed(done() + told())
    if by_frame:
        tunnel.client_said(frame(b"", CLOSE, mask=b"abcd"))
    else:
        tunnel.client_left()
    assert tunnel.reader.finish().error is None
    record = described(tunnel)
    assert (record.upstream_error_code, record.error_message) == ("invalid_value", "No such voice")
