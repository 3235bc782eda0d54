"""What a check of ``doctor`` hands back."""

from enum import StrEnum

import msgspec


class CheckStatus(StrEnum):
    """How a check ended; only ``FAILED`` makes ``doctor`` exit with 1."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True):
    """What was found; ``advice`` is what to do about it, empty if nothing needs doing."""

    check: str
    status: CheckStatus
    found: str
    advice: str = ""


def ok(check: str, found: str, advice: str = "") -> Finding:
    """All is well; ``advice`` may still name what could be better."""
    return Finding(check, CheckStatus.OK, found, advice)


def warning(check: str, found: str, advice: str) -> Finding:
    """It works, and a person should look at it."""
    return Finding(check, CheckStatus.WARNING, found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, CheckStatus.FAILED, found, advice)
