"""Standard output of every verb: what the locale cannot write has a stand-in, and a write that fails is an error.

SQLite and the journal name files in UTF-8 and nothing else, so Python must too, whatever the locale is: else one
folder would have two names. Only the text on the screen is in the locale's encoding.

If the terminal's encoding lacks a character, the rest is still shown. A full disk ends the verb with a message. A
reader who has seen enough (``| head``) ends it quietly, as with any filter. JSON and files are bytes and
go through unchanged.
"""

import codecs
import io
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from rich.cells import cell_len

from llm_metrics_proxy.errors import OutputClosedError, OutputError

log = logging.getLogger(__name__)

_STAND_INS: Final = dict(zip("…→•·─━│▁▂▃▄▅▆▇█", ".>*.--|12345678", strict=True))
_HANDLER: Final = "llm-metrics-proxy-stand-ins"


def stand_ins(error: UnicodeError) -> tuple[str, int]:
    """As many characters as could not be encoded, so that columns stay where they are."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(_STAND_INS.get(char) or "?" * cell_len(char) for char in missing), error.end


class _Descriptor(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise OutputClosedError from None
        except OSError as error:
            raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def begin_again_in_utf8() -> None:
    """Restart this process in Python's UTF-8 mode unless it is in it; its children inherit that."""
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8" or not sys.executable:
        return
    shown = "utf-8" if sys.stdout is None else sys.stdout.encoding
    environment = {"PYTHONIOENCODING": shown, **os.environ, "PYTHONUTF8": "1"}
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)  # noqa: S606 -- ourselves


def take_over() -> None:
    """Have ``sys.stdout`` so, for the rest of the process.

    Where somebody closed a standard descriptor, the next file or socket would get its number, and be written to; also
    in what this process becomes, whose children have the standard input that it had at its start.
    """
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), errors="backslashreplace")
    codecs.register_error(_HANDLER, stand_ins)
    encoding = "utf-8" if sys.stdout is None else sys.stdout.encoding
    raw = _Descriptor(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding, _HANDLER, line_buffering=raw.isatty())


def finish() -> None:
    """Write what is left. Raises ``OutputError``; either way nothing waits to be written when the process ends."""
    try:
        sys.stdout.flush()
    except OutputError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


def end_by_sigpipe() -> None:
    """End as filters do when nobody reads on; shells can see it."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


@contextmanager
def courtesy() -> Iterator[None]:
    """What a verb that goes on running says at its start: it runs on although that cannot be written."""
    try:
        yield
        finish()
    except OutputError as error:
        log.warning("%s", str(error) or "nobody reads standard output")
        with suppress(OutputError):
            finish()
