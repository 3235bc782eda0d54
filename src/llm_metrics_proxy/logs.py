"""Logging of every process of this package: to stderr, one line per message, text for people or JSON for collectors.

Light to import, because each worker does.
"""

import json
import logging
import sys
import time
from typing import Final

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_LINE_BREAKS: Final = str.maketrans({"\n": "\\n", "\r": "\\r", "\x1b": "\\x1b"})


class TextFormatter(logging.Formatter):
    """``2026-03-01T12:00:00.123Z warning worker-0: text``; a traceback follows on further lines."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name

    def format(self, record: logging.LogRecord) -> str:
        # A message may contain what clients and servers send: it must not start another line or move a cursor.
        text = record.getMessage().translate(_LINE_BREAKS)
        line = f"{utc_stamp(record.created)} {record.levelname.lower()} {self._process_name}: {text}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object per line: ``time``, ``level``, ``process``, ``logger``, ``message``, perhaps ``exception``."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": utc_stamp(record.created),
            "level": record.levelname.lower(),
            "process": self._process_name,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def utc_stamp(unix_s: float) -> str:
    """ISO 8601 in UTC with milliseconds, ends in Z."""
    milliseconds = int(unix_s * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(milliseconds // 1000))}.{milliseconds % 1000:03}Z"


def setup(level: str, log_format: str, process_name: str) -> None:
    """Send everything of at least ``level`` (debug, info, warning, error) to stderr as ``log_format`` (text, json)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonFormatter if log_format == "json" else TextFormatter)(process_name))
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    logging.raiseExceptions = (
        False  # a closed terminal must not turn each message into a traceback on the same terminal
    )
