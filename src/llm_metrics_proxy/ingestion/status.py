"""What ``/health`` and Prometheus show of ingestion."""

import msgspec


class IngestionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are since this process started."""

    running: bool = False
    records_ingested: int = 0
    records_rejected: int = 0  # neither the journal's decoder nor the database could hold them: see rejected.jsonl
    open_requests: int = 0
    lag_bytes: int = 0  # in the journal and not in the database
    lag_ms: int = 0  # age of the newest record in the database, while lag_bytes is not 0
    last_error: str | None = None  # of the last attempt, if that failed
    damaged_bytes: int = 0  # of journal that could not be read as frames
    torn_frames: int = 0  # cut off at the end of a dead worker's segment
    unknown_frames: int = 0  # of kinds that a newer worker writes
    last_commit_unix_ms: int | None = None
    records_lost: int | None = None  # served without a record, ever; none: not known yet
    lost_first_unix_ms: int | None = None
    lost_last_unix_ms: int | None = None
    lost_reason: str | None = None
