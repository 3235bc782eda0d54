"""Write the API's OpenAPI document, from which the dashboard's types are generated.

    python -m tools.openapi dashboard/openapi.json

A test holds the file against the program: whoever changes the API runs this and `npm run types`.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from llm_metrics_proxy.api.application import application
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.service import service_answers
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.metrics_service import APP_VERSION


def document() -> str:
    """The document as the file has it."""
    nobody: Any = SimpleNamespace(sources=tuple)  # nothing is asked: a document needs no records
    ports = ApiPorts(records=nobody, book=CounterBook(), service_status=lambda: None)
    found = application(ports, service_answers(ports)).openapi()
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return text.replace(f'"{APP_VERSION}"', '"current"')  # in examples, too; else every release would differ


if __name__ == "__main__":
    (target,) = sys.argv[1:]
    Path(target).write_text(document(), encoding="utf-8")
