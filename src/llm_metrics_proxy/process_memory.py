"""Memory of a process: what it gives back to the system, and how often it looks for cycles.

**Large blocks.** glibc raises, by itself, the size from which a block gets pages of its own: to that of every such
block that is freed, up to 32 MiB. From then on the arrays of an answer lie between small objects that live on, and what
is free between those stays the process's. Measured on ten million records, 2,000 a second being stored: 291 MiB after
three rounds of everyday questions, 187 with a size that is fixed.

**Cycles.** Python looks for them whenever 700 objects more were made than freed. Ten thousand rows are that many
tuples, and in none of them is a cycle: 10 to 18 % more records are stored in a second of CPU time if it looks rarely.
"""

import ctypes
import gc
import os
from typing import Final

LARGE_BYTES: Final = 2**20
COLLECT_AT: Final = (50_000, 20, 10)
_M_MMAP_THRESHOLD: Final = -3  # malloc.h
_OWN_WORDS: Final = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def give_back_large_blocks() -> bool:
    """Blocks of 1 MiB and more get pages of their own; whether the C library can do that.

    Somebody who set the variables of malloc has decided otherwise. Call it before threads are started.
    """
    if any(word in os.environ for word in _OWN_WORDS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl and macOS have none that works
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))


def collect_rarely() -> None:
    """Look for cycles among what was made since, when there is much of it; what exists now lives forever."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)
