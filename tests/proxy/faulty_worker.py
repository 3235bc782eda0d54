"""``python -m tests.proxy.faulty_worker``: a worker that cannot list models, by a fault put there on purpose."""

import runpy
from typing import NoReturn

from llm_metrics_proxy.proxy import model_listing


async def _fail(*_: object) -> NoReturn:
    raise RuntimeError("a fault that was put here on purpose")


vars(model_listing)["list_models"] = _fail
runpy.run_module("llm_metrics_proxy.proxy", run_name="__main__")
