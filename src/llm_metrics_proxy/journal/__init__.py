"""The journal: the only thing between the workers, which append to it, and the metrics process, which reads it.

``frames`` (pure) says how records look as bytes, ``writer`` is the workers' side, ``reader`` the metrics process's.
What a worker has appended is in the page cache and survives its ``kill -9``; ``writer.JournalWriter.sync`` is what
makes it survive a power loss too.
"""

from llm_metrics_proxy.journal.reader import JournalFolder, JournalPiece
from llm_metrics_proxy.journal.writer import JournalWriter

__all__ = ["JournalFolder", "JournalPiece", "JournalWriter"]
