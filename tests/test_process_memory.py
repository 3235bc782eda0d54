"""What malloc does with large blocks, seen from inside a process of its own."""

import os
import subprocess
import sys

import pytest

from llm_metrics_proxy.process_memory import COLLECT_AT, LARGE_BYTES

# A freed block of 8 MiB teaches glibc to take blocks of that size from its heap; the next one shows whether it does.
_LOOK = """
import ctypes, sys
from llm_metrics_proxy.process_memory import give_back_large_blocks

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.mallinfo2.restype = Mallinfo2
done = give_back_large_blocks() if sys.argv[1] == "fixed" else None
libc.free(libc.malloc(8 << 20))
before = libc.mallinfo2().hblkhd
libc.malloc(int(sys.argv[2]))
print(done, libc.mallinfo2().hblkhd > before)
"""


def look(how: str, size: int, **environment: str) -> str:
    command = [sys.executable, "-c", _LOOK, how, str(size)]
    return subprocess.check_output(command, text=True, env={**os.environ, **environment}).strip()


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(os, "confstr"), reason="glibc")
def test_large_blocks_have_pages_of_their_own_whatever_was_freed_before() -> None:
    assert look("as it is", 2 * LARGE_BYTES) == "None False"
    assert look("fixed", 2 * LARGE_BYTES) == "True True"
    assert look("fixed", LARGE_BYTES // 2) == "True False"


def test_who_set_the_variables_of_malloc_is_not_overruled() -> None:
    assert look("fixed", 2 * LARGE_BYTES, GLIBC_TUNABLES="glibc.malloc.mmap_threshold=67108864") == "False False"


def test_a_process_that_collects_rarely_looks_at_new_objects_alone_and_still_finds_cycles() -> None:
    code = """
import gc, weakref
from llm_metrics_proxy.process_memory import collect_rarely

class Node: pass

collect_rarely()
found, node = [], Node()
node.itself = node
weakref.finalize(node, found.append, 1)
del node
rows = [(n, [n]) for n in range(60_000)]
print(gc.get_threshold(), gc.get_freeze_count() > 1000, found)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == f"{COLLECT_AT} True [1]"
