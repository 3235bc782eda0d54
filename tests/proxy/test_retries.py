"""What may be sent again: whatever no server can have begun with, and what the settings allow."""

import pytest

from llm_metrics_proxy.proxy.retries import IDEMPOTENT, repeatable, stale_window_ns

MS = 1_000_000


def word(
    mode: str = "unsent", method: bytes = b"POST", *, unsent: bool = False, reused: bool = True, first: bool = True,
    after_ms: int = 0, connect_ms: int = 1,
) -> str | None:  # fmt: skip
    return repeatable(
        mode, method, "reset", unsent=unsent, reused=reused, first=first, after_ns=after_ms * MS,
        connect_ns=connect_ms * MS,
    )  # fmt: skip


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("reused", [True, False])
def test_what_was_never_sent_may_be_sent_again_however_often(first: bool, reused: bool) -> None:
    for mode in ("unsent", "stale"):
        assert word(mode, unsent=True, first=first, reused=reused) == "unsent"
    assert word("never", unsent=True, first=first, reused=reused) is None
    assert word("never", b"GET", unsent=True, first=first, reused=reused) == "unsent"


@pytest.mark.parametrize("method", sorted(IDEMPOTENT))
def test_what_is_idempotent_is_sent_again_once_and_only_after_a_connection_that_was_idle(method: bytes) -> None:
    for mode in ("never", "unsent", "stale"):
        assert word(mode, method, after_ms=10_000) == "reset"
        assert word(mode, method, first=False) is None
        assert word(mode, method, reused=False) is None


def test_a_post_on_a_stale_connection_is_sent_again_only_where_the_settings_say_so() -> None:
    assert word("unsent") is None
    assert word("never") is None
    assert word("stale", after_ms=100) == "reset"
    assert word("stale", after_ms=101) is None  # it was alive when it was written to
    assert word("stale", after_ms=101, connect_ms=60) == "reset"  # a server that is far away
    assert word("stale", after_ms=121, connect_ms=60) is None
    assert stale_window_ns(60 * MS) == 120 * MS
