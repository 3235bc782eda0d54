"""llama.cpp's server with a tiny random model, started once, and ours in front of it."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.child_processes import answers, child
from tests.stack import Stack
from tests.upstream import unused_port
from tests.waiting import wait_until

_PYTHON: Final = Path(__file__).resolve().parents[2] / ".venv-llama-cpp/bin/python"
_WRITER: Final = Path(__file__).with_name("tiny_model.py")
_START_LIMIT_S: Final = 60.0


@pytest.fixture(scope="session")
def llama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not _PYTHON.exists():
        pytest.skip("llama.cpp is not installed: run tools/install-llama-cpp.sh (`make real-llm` does)")
    folder = tmp_path_factory.mktemp("llama")
    model, log = folder / "tiny.gguf", folder / "log"
    subprocess.run([str(_PYTHON), str(_WRITER), str(model)], check=True, timeout=60)
    port = unused_port()
    command = [
        *(str(_PYTHON), "-m", "llama_cpp.server", "--host", "127.0.0.1", "--port", str(port), "--n_threads", "1"),
        *("--model", str(model), "--model_alias", "tiny", "--n_ctx", "4096", "--embedding", "true"),
    ]
    with child(command, log) as process:
        ready = partial(answers, f"127.0.0.1:{port}", "/v1/models")
        wait_until(ready, "llama.cpp's start", _START_LIMIT_S, process=process, log=log)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def stack(llama_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(llama_url, tmp_path_factory.mktemp("stack")) as stack:
        yield stack
