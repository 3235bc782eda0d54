"""Zstandard: ``zstd`` is Python's own module from 3.14 on, and a backport of it before (1 MB; others are 23)."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["zstd"]
