"""What a worker process starts with: frozen values that ``config`` has validated.

A worker does not import the settings library: it starts faster, and each one holds 10 MiB less.
"""

import msgspec

from llm_metrics_proxy.config.values import SettingValues


class BackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several LLM servers; ``docs/topics/backends.md`` explains every key. None: as for all of them."""

    name: str
    url: str
    dialect: str | None = None  # openai | anthropic | ollama | gemini
    models: list[str] = []  # globs
    weight: int = 1
    api_key: str | None = None
    add_headers: dict[str, str] = {}
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    ca_file: str | None = None
    tls_server_name: str | None = None
    tls_verify: bool | None = None
    host_header: str | None = None
    probe_path: str | None = None
    server_metrics: bool | None = None  # of the metrics process, as the next
    metrics_url: str | None = None

    def __repr__(self) -> str:
        return f"<BackendOptions {self.name} {self.url}>"  # without the key


class ProxyOptions(SettingValues, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of JSON on the worker's standard input: every setting by its name, and this worker's own."""

    backend: str  # the one that was named or found; http:// or https://, with an optional path prefix
    backends: list[BackendOptions]  # if there are any, they count, and `backend` does not
    listen_fds: list[int]  # listening sockets that the worker inherited
    secret_file: str  # key for api_key_id; made at first start, mode 0600
    worker_index: int  # slot in the scoreboard
    scoreboard_fd: int | None
    health_token: str | None  # its bearer sees more than the status at /health
