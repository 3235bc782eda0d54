"""Logging of every process of this package: to stderr, one line per message, text for people or JSON for collectors.

What Python would print itself goes the same way: exceptions that nobody caught, in whatever thread, and warnings. So
each line of JSON is whole, whatever happens. Light to import, because each worker does.
"""

import json
import logging
import sys
import threading
import time
from typing import Any, Final

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FIELDS: Final = "fields"  # ``extra={FIELDS: {…}}``: further keys of a JSON line
log: Final = logging.getLogger(__name__)
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
    """One object per line: ``time``, ``level``, ``process``, ``logger``, ``message``, perhaps ``exception`` and others.

    In ASCII: what the locale of stderr cannot write would be escaped in a way that JSON does not know.
    """

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
        return json.dumps({**getattr(record, FIELDS, {}), **line})


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
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def set_level(level: str) -> None:
    """Another level from now on, in this process."""
    logging.getLogger().setLevel(LEVELS[level])


def is_json() -> bool:
    """Whether ``setup`` chose JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical("this process ends by a fault that nobody foresaw", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else "?"
        given = (args.exc_type, args.exc_value, args.exc_traceback)
        log.critical("the thread %s ends by a fault that nobody foresaw", name, exc_info=given)


def _unraisable(given: Any) -> None:
    known = None if given.exc_value is None else (given.exc_type, given.exc_value, given.exc_traceback)
    log.error("an exception was ignored in %r", given.object, exc_info=known)
