"""Reads bodies that are one answer, or a JSON array of them: one for each prompt of a request.

Items of an array that are no objects (rows of numbers) say nothing. A large array is made small like any other body.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from llm_metrics_proxy.wire.base import ResponseFacts
from llm_metrics_proxy.wire.json_shrink import JsonShrinker
from llm_metrics_proxy.wire.tolerant import decode, read_items
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class AnswerListReader(WholeBodyReader):
    """Reads one body."""

    __slots__ = ()

    @abstractmethod
    def facts_of_all(self, answers: Sequence[Any], **ends: Any) -> ResponseFacts:
        """What all the answers say together. Given by each dialect."""

    def facts_of(self, answer: Any, **ends: Any) -> ResponseFacts:
        """What one answer says that came alone."""
        return self.facts_of_all([answer], **ends)

    def finish(self) -> ResponseFacts:
        """The facts, whether the body ended well or broke off."""
        if self._shrinker is None and self._held[:1] == b"[":
            answers = self._answers(bytes(self._held))
            if answers is not None:
                return self._facts_of_all(answers)
        return super().finish()

    def _answers(self, body: bytes) -> list[Any] | None:
        items = read_items(msgspec.Raw(body))
        if items is None:
            return None
        read = (decode(self.kind, item) for item in items if bytes(memoryview(item)[:1]) == b"{")
        return [answer for answer in read if answer is not None]

    def _facts_of_small(self, shrinker: JsonShrinker) -> ResponseFacts:
        small = shrinker.finish()
        if small[:1] != b"[":
            return super()._facts_of_small(shrinker)
        answers = self._answers(small)
        whole = shrinker.complete and answers is not None
        return self._facts_of_all(answers or [], terminal=whole, malformed=shrinker.complete and not whole)

    def _facts_of_all(self, answers: Sequence[Any], *, terminal: bool = True, malformed: bool = False) -> ResponseFacts:
        errors = (self.error_of(answer) for answer in answers)
        error = next((each for each in errors if each is not None), None)
        return self.facts_of_all(answers, terminal=terminal, malformed=malformed, error=error)
