"""How fast the metrics process takes records from the journal into SQLite.

The journal is written first and not timed: pairs of opened and closed frames of filled-in records, 64 requests open at
any time. Timed is everything that the ingester does, with the real counters and the real indexes.
"""

import secrets
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.pricing import Pricer, PriceRow
from llm_metrics_proxy.proxy.identity import RequestIds
from llm_metrics_proxy.record import Outcome, RequestRecord
from llm_metrics_proxy.storage.sqlite import SqliteStore

_OPEN_AT_ONCE = 64
_PRICES = (PriceRow(model="*", input_usd_per_mtok=0.5, output_usd_per_mtok=1.5),)  # so that every record is priced
_REPORT = (
    '{"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":'
    '{"cached_tokens":128,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}'
)
_MODELS = ("llama3.2:3b", "qwen2.5-coder:32b", "gpt-4o-mini", "mistral-small")


def opened_record(index: int, request_id: str) -> RequestRecord:
    """A request as it is known when it is accepted."""
    minute, second = index // 6_000 % 60, index // 100 % 60
    return RequestRecord(
        request_id=request_id,
        timestamp=f"2025-06-01T12:{minute:02d}:{second:02d}.{index % 100:02d}0000Z",
        method="POST",
        endpoint="/v1/chat/completions",
        dialect="openai_chat",
        backend="127.0.0.1:11434",
        origin="http://chat.example",
        user_agent="OpenAI/Python 2.1",
        api_key_id="0123456789ab",
    )


def close_record(record: RequestRecord, index: int) -> RequestRecord:
    """The same request when its streamed answer is complete."""
    record.model = record.response_model = _MODELS[index % len(_MODELS)]
    record.user = "someone"
    record.is_streaming = record.success = True
    record.max_tokens, record.temperature, record.top_p = 512, 0.7, 0.95
    record.message_count, record.tool_count, record.choice_count = 4, 0, 1
    record.request_bytes, record.response_bytes = 2_048 + index % 1_000, 24_000 + index % 10_000
    record.outcome, record.finish_reason = Outcome.COMPLETED, "stop"
    record.status_code = record.upstream_status_code = 200
    prompt, record.content_chunks = 300 + index % 100, 100 + index % 50
    record.usage_reported = _REPORT % (prompt, record.content_chunks, prompt + record.content_chunks)
    record.upstream_reused = True
    base = 0.1 + index % 977 / 100
    record.body_complete_ms, record.upstream_acquired_ms, record.request_sent_ms = base, base + 0.05, base + 0.08
    record.response_headers_ms = record.time_to_first_byte_ms = base + 180.25
    record.time_to_first_token_ms = record.time_to_first_output_ms = base + 181.5
    record.time_to_last_token_ms, record.response_time_ms = base + 2_100.125, base + 2_101.75
    record.inter_chunk_max_ms, record.proxy_overhead_ms = 31.5, 0.21
    return record


def write_journal(folder: Path, records: int) -> None:
    """Fill ``folder`` as one worker does that ends in order."""
    writer = JournalWriter(folder, secrets.token_hex(8))
    request_ids = RequestIds()
    running: deque[tuple[RequestRecord, int]] = deque()
    for index in range(records):
        record = opened_record(index, request_ids.next())
        writer.opened(record)
        running.append((record, index))
        if len(running) > _OPEN_AT_ONCE:
            writer.closed(close_record(*running.popleft()))
        if index % 20 == 0:
            writer.flush()
    for record, index in running:
        writer.closed(close_record(record, index))
    writer.close()


def measure(records: int, folder: Path) -> float:
    """Records per second of CPU from a journal of ``records`` requests into a fresh database in ``folder``."""
    journal = folder / "journal"
    write_journal(journal, records)
    store = SqliteStore(folder / "metrics.db")
    ingestor = Ingestor(store, journal, CounterBook(), pricer=Pricer(_PRICES))
    begun = time.process_time()
    while ingestor.step():
        pass
    elapsed = time.process_time() - begun
    ingested = ingestor.status().records_ingested
    ingestor.stop(drain=False)
    store.close()
    if ingested != records:
        raise RuntimeError(f"{records} records were written to the journal and {ingested} came out of it")
    return records / elapsed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asked = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
        print(f"{measure(asked, Path(scratch)):,.0f} records for each second of CPU time")
