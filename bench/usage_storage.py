"""What it costs to keep what servers report of their usage: bytes a record on disk, and microseconds to store and read.

    python -m bench.usage_storage [RECORDS]

Reports of seven kinds of servers with numbers that differ are stored in a table of their own by each of four ways, and
read again; each must give the same text. The program uses the last.
"""

import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from llm_metrics_proxy.storage.report_shapes import ReportShapes
from llm_metrics_proxy.zstandard import zstd

_OPENAI = (
    '{"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,'
    '"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0,'
    '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}'
)
_VLLM = '{"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":null}}'
_LLAMA_CPP = (
    '{"usage":{"completion_tokens":%d,"prompt_tokens":%d,"total_tokens":%d,"prompt_tokens_details":'
    '{"cached_tokens":%d}},"timings":{"prompt_n":%d,"cache_n":%d,"predicted_n":%d}}'
)
_ANTHROPIC = (
    '{"message.usage":{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    '"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":0},"output_tokens":%d,'
    '"service_tier":"standard","inference_geo":"not_available"},"usage":{"input_tokens":%d,'
    '"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,"output_tokens":%d}}'
)
_RESPONSES = (
    '{"response.usage":{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,'
    '"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}}'
)
_OLLAMA = '{"answer":{"prompt_eval_count":%d,"eval_count":%d}}'
_KINDS = (_OPENAI, _OPENAI, _VLLM, _LLAMA_CPP, _ANTHROPIC, _RESPONSES, _OLLAMA)


def reports(count: int) -> list[str]:
    """As many as are asked for, of all kinds."""
    chance = random.Random(7)
    found = []
    for index in range(count):
        kind = _KINDS[index % len(_KINDS)]
        found.append(kind % tuple(int(chance.lognormvariate(6, 2)) for _ in range(kind.count("%d"))))
    return found


class Way(NamedTuple):
    """How a report is stored. ``setup`` gives both functions for a database."""

    name: str
    setup: Callable[[apsw.Connection], tuple[Callable[[str], Any], Callable[[Any], str | None]]]


def _plain(_: apsw.Connection) -> tuple[Callable[[str], Any], Callable[[Any], str | None]]:
    return lambda text: text, lambda stored: stored


def _zstd(_: apsw.Connection) -> tuple[Callable[[str], Any], Callable[[Any], str | None]]:
    trained = zstd.train_dict([text.encode() for text in reports(5000)], 4096)
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.content_size_flag: 0, parameter.dict_id_flag: 0}
    return (
        lambda text: zstd.compress(text.encode(), options=options, zstd_dict=trained),
        lambda stored: zstd.decompress(stored, trained).decode(),
    )


_COUNTED = re.compile(r'\{"usage":\{"prompt_tokens":(\d+),"completion_tokens":(\d+),"total_tokens":(\d+)\}\}')


def _columns(_: apsw.Connection) -> tuple[Callable[[str], Any], Callable[[Any], str | None]]:
    """Nothing is stored where the columns say as much: such a report can be made of them."""

    def store(text: str) -> str | None:
        found = _COUNTED.fullmatch(text)
        return None if found and int(found[1]) + int(found[2]) == int(found[3]) else text

    return store, lambda stored: stored


def _shapes(connection: apsw.Connection) -> tuple[Callable[[str], Any], Callable[[Any], str | None]]:
    connection.execute("CREATE TABLE usage_shapes (id INTEGER PRIMARY KEY, shape TEXT NOT NULL UNIQUE)")
    shapes = ReportShapes(connection)
    return shapes.stored, shapes.text


WAYS = (
    Way("JSON text", _plain),
    Way("only what the columns do not say", _columns),
    Way("zstd, trained dictionary", _zstd),
    Way("dictionary of shapes", _shapes),
)


def measure(way: Way, texts: list[str], folder: Path) -> tuple[float, float, float]:
    """Bytes of the file and microseconds to store and to read, per record."""
    connection = apsw.Connection(str(folder / "reports.db"))
    store, read = way.setup(connection)
    connection.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, usage_reported ANY)")
    begun = time.perf_counter()
    stored = [store(text) for text in texts]
    stored_s = time.perf_counter() - begun
    if isinstance(getattr(store, "__self__", None), ReportShapes):
        store.__self__.save()  # type: ignore[attr-defined]
    with connection:
        connection.executemany("INSERT INTO records (usage_reported) VALUES (?)", ((value,) for value in stored))
    begun = time.perf_counter()
    again = [read(value) for value in stored]
    read_s = time.perf_counter() - begun
    if any(value is not None and value != text for value, text in zip(again, texts, strict=True)):
        raise RuntimeError(f"{way.name} does not give back what was stored")
    size = connection.pragma("page_count") * connection.pragma("page_size")
    connection.close()
    return size / len(texts), stored_s / len(texts) * 1e6, read_s / len(texts) * 1e6


def main(count: int) -> None:
    """Print a table."""
    texts = reports(count)
    print(f"{count:,} reports of {sum(map(len, texts)) / count:.0f} bytes")
    print("| way | bytes a record | µs to store | µs to read |\n| --- | --- | --- | --- |")
    for way in WAYS:
        best = []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                best.append(measure(way, texts, Path(folder)))
        size, store_us, read_us = (min(column) for column in zip(*best, strict=True))
        print(f"| {way.name} | {size:.0f} | {store_us:.2f} | {read_us:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
