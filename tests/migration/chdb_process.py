"""ClickHouse's engine in a process of its own: a query on each line in, its rows as JSON out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_RUN = """
import json, sys
import chdb
for line in sys.stdin:
    try:
        print(json.dumps(str(chdb.query(json.loads(line), "JSONCompact"))), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)[:2000]}), flush=True)
"""


class ClickHouse:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def rows(self, query: str) -> list[list[Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(query) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, str), answer
        return list(json.loads(answer)["data"]) if answer else []


@contextmanager
def clickhouse() -> Iterator[ClickHouse]:
    """Ends the process with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield ClickHouse(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait(30)
