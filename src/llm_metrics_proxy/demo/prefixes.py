"""The simulated server's prompt cache: beginnings of prompts that it has read, in whole blocks as real ones."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

BLOCK_TOKENS: Final = 16
_MOST_KEPT: Final = 4096  # the one that was not used for longest is forgotten first


class PrefixCache:
    """Of which conversations the beginning is known, model by model."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, None] = OrderedDict()

    def cached_tokens(self, model: str, messages: Sequence[Any]) -> int:
        """How many tokens at the beginning were read before, in whole blocks; from now on all of them are."""
        digest = blake2b(model.encode(), digest_size=16)
        chars = found_chars = 0
        for message in messages:
            raw = msgspec.json.encode(message)
            digest.update(raw)
            chars += len(raw)
            key = digest.digest()
            if key in self._kept:
                found_chars = chars
            self._kept[key] = None
            self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        if not found_chars:
            return 0
        return round(found_chars / 4) // BLOCK_TOKENS * BLOCK_TOKENS
