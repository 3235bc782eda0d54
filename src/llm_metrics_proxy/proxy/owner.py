"""Who may own an upstream connection: a client's request (``Transaction``) or a question of our own (``Fetch``)."""

from typing import TYPE_CHECKING, Protocol

from llm_metrics_proxy.proxy.answers import ResponseHead
from llm_metrics_proxy.proxy.exchange import Cause

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.upstream import Upstream


class Owner(Protocol):
    """From the pool it gets a connection or a failure; from the connection an answer, piece by piece, or a failure."""

    @property
    def is_waiting(self) -> bool:
        """Still wants a connection."""

    @property
    def request_is_sent(self) -> bool:
        """The whole request went out; if not, its connection cannot carry another one."""

    @property
    def accepts_tunnel(self) -> bool:
        """May be answered with 101."""

    def upstream_ready(self, upstream: "Upstream") -> None:
        """Here is a connection."""

    def upstream_failed(self, cause: Cause, message: str | None, *, answered: bool) -> None:
        """There is none, or it broke. ``answered``: nothing is gained by asking again."""

    def upstream_is_slow(self, *, slow: bool) -> None:
        """Back-pressure from the upstream's socket."""

    def informational(self, head: ResponseHead) -> None:
        """A 1xx head."""

    def response(
        self, head: ResponseHead | None, length: int | None, body: bytes, *, ended: bool, read_at: int
    ) -> None:
        """Everything one read brought: perhaps the head, perhaps bytes of the body, perhaps the end."""

    def more_body(self, body: bytes, read_at: int) -> None:
        """A read that brought bytes of the body and nothing else."""

    def tunnel_opened(self, head: ResponseHead, now: int) -> None:
        """The server switched protocols; asked for by ``accepts_tunnel`` alone."""

    def tunnel_from_upstream(self, data: bytes, now: int) -> None:
        """Bytes of the other protocol."""

    def tunnel_ended(self, now: int) -> None:
        """The server closed such a connection."""
