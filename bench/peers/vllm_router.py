"""vLLM's router in front of one server, choosing in turn (by cache it would keep a tree of all prompts)."""

from typing import Final

from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import wheel
from bench.processes import free_port


def _launch(site: Site) -> Launch:
    return Launch(
        (
            *("--host", "127.0.0.1", "--port", str(site.port), "--worker-urls", f"http://127.0.0.1:{site.upstream}"),
            *("--policy", "round_robin", "--log-level", "error", "--prometheus-port", str(free_port())),
            *("--worker-startup-check-interval", "1"),
        )
    )


PEER: Final = Peer("vllm-router", wheel("vllm-router"), "counters and durations for all requests together", _launch)
