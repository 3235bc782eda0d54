"""The options of a demo server; the supervisor sends it as one line of JSON."""

import msgspec


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``listen_fd`` (an inherited listening socket) wins over ``host`` and ``port``; port 0 lets the kernel choose."""

    host: str = "127.0.0.1"
    port: int = 0
    listen_fd: int | None = None
    seed: int = 0  # the same seed and the same order of requests give the same answers and faults
    speed: float = 1.0  # 10 answers ten times as fast as a believable server
    fault_rate: float = 0.03  # share of requests that fail by themselves
    traffic_to: str | None = None  # base URL of the proxy that the simulated clients use; none: no clients
    rate_per_s: float = 1.0  # mean rate of the simulated clients' requests
    log_level: str = "info"
    log_format: str = "text"
