"""Tests of what servers say of themselves."""
