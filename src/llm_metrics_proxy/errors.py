"""Every exception this package raises on purpose, on one screen.

A message is written for the person who will read it: what was found, where, and what to do next.
Commands print it as one line and leave with ``exit_code``; it never reaches a user as a traceback.
"""

from collections.abc import Sequence


class LlmMetricsProxyError(Exception):
    """The root; ``exit_code`` is what a command ends with when this reaches it."""

    exit_code = 1


class SettingsError(LlmMetricsProxyError):
    """One or more settings are unusable; ``problems`` has one line for each: what, from where, what is allowed."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class MissingExtraError(LlmMetricsProxyError):
    """A library is not installed that only some installations need; the message has the command that installs it."""

    exit_code = 2


class PortInUseError(LlmMetricsProxyError):
    """A listening address is taken; the message names it and, where the system knows, by whom."""


class JournalError(LlmMetricsProxyError):
    """The journal cannot be written or read; the message names the file and the operating system's reason."""


class StoreError(LlmMetricsProxyError):
    """The database cannot be opened, read or written."""


class StoreBusyError(StoreError):
    """Another program holds the database's lock; trying again later is right."""


class LeaseLostError(StoreError):
    """Another process does now what only one may do; what this one has done is whole."""


class RecordsRefusedError(StoreError):
    """The database cannot hold some rows of a batch; ``refused`` has each one's index in it, and why."""

    def __init__(self, refused: list[tuple[int, str]]) -> None:
        super().__init__(f"{len(refused)} records were refused by the database; the first because {refused[0][1]}.")
        self.refused = refused


class NewerDatabaseError(StoreError):
    """The database was written by a newer program; writing to it could destroy what this one does not know."""

    exit_code = 3


class ForeignDatabaseError(StoreError):
    """The file is not ours to write: another program's tables, no SQLite database, or a damaged one."""

    exit_code = 3


class DiskLowError(LlmMetricsProxyError):
    """What is free on a disk is kept for storing records; other work goes on once there is room."""


class MigrationRefusedError(LlmMetricsProxyError):
    """A migration or an undo cannot begin: the lock is held, the disk is too small. Nothing was changed."""

    exit_code = 3


class MigrationFailedError(LlmMetricsProxyError):
    """A migration or an undo began and met trouble; the message says in which state the records are."""


class BackupError(LlmMetricsProxyError):
    """A backup cannot be made, is not what its description says, or cannot be restored."""


class ExportError(LlmMetricsProxyError):
    """A file of records or a report cannot be written; what stood in its place is untouched."""


class OutputError(LlmMetricsProxyError):
    """Standard output cannot be written, for a reason that somebody must fix."""


class OutputClosedError(OutputError):
    """Nobody reads standard output any more: no words, and the exit code that shells give for SIGPIPE."""

    exit_code = 141


class ApiUnreachableError(LlmMetricsProxyError):
    """A running metrics API cannot be used: nothing answers there, or it refuses."""


class ApiRefusedError(ApiUnreachableError):
    """The API answered with an error; its words are the message, and ``parameter`` names what of the question is wrong.

    ``kind`` is the API's own word, such as ``invalid_request``; ``retry_after_s``: when to ask again, if it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str,
        parameter: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.parameter = parameter
        self.retry_after_s = retry_after_s


class UnknownAnswerError(ApiUnreachableError):
    """What answered is no metrics API, or one of a version whose answers this program cannot read."""


class QueryError(LlmMetricsProxyError):
    """A query is invalid; ``parameter`` names the wrong part."""

    exit_code = 2

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter
