"""One file per API: its requests, its answers, and what of them becomes facts. ``endpoints`` lists them all."""
