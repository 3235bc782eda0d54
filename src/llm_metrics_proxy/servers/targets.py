"""Which servers are asked, as the settings say. Pure."""

from typing import NamedTuple

from llm_metrics_proxy.servers.local import is_local

LOCAL = "local"
ALL = "all"


class AskedServer(NamedTuple):
    """One backend. ``asked``: false where the settings keep its address from being asked, and ``why`` says which."""

    name: str
    url: str
    metrics_url: str | None
    asked: bool
    why: str | None = None  # off, remote


def target(name: str, url: str, metrics_url: str | None, own: bool | None, setting: str) -> AskedServer:
    """``own``: the backend's own key ``server_metrics``; ``setting``: the one for all."""
    asked = own if own is not None else setting == ALL or (setting == LOCAL and is_local(metrics_url or url))
    why = None if asked else "off" if own is False or setting != LOCAL else "remote"
    return AskedServer(name, url.rstrip("/"), metrics_url, asked, why)
