"""What makes a file of records, for every format."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Encoder(ABC):
    """Makes one file: ``head`` once, ``page`` for every page, ``tail`` once; in that order."""

    def __init__(self, names: Sequence[str]) -> None:
        """``names``: the columns, in order."""
        self.names = names

    def head(self) -> bytes:
        """Bytes before the records."""
        return b""

    @abstractmethod
    def page(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Take some records, and return what can be written already; each row has the columns' values in order."""

    def tail(self) -> bytes:
        """Bytes after the records."""
        return b""
