"""One file per API: its requests, its answers, what of them becomes facts, and at its end its rows of ``endpoints``."""
