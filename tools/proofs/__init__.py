"""Proofs of ``docs/howto/extend.md``: each runs in a copy of the sources in which its change was made."""
