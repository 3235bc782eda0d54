"""LiteLLM's proxy with one worker and its ``openai/`` provider, nothing else switched on."""

from typing import Final

from bench import payload
from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import ROOT, Source

_CONFIG: Final = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: bench
"""
_SETTINGS: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a price list at start
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "ERROR",
    # Without a key to check it is faster, and the comparison kinder to it.
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}


def _launch(site: Site) -> Launch:
    path = site.write("litellm.yaml", _CONFIG.format(model=payload.MODEL, upstream=site.upstream))
    words = ("--config", path, "--host", "127.0.0.1", "--port", str(site.port), "--num_workers", "1")
    return Launch(words, _SETTINGS)


PEER: Final = Peer(
    "LiteLLM",
    Source("litellm", "run tools/install-litellm.sh", ROOT / ".venv-litellm/bin"),
    "nothing, without a database",
    _launch,
    is_slow=True,
)
