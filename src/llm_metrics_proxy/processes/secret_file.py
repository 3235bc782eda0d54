"""The key behind ``api_key_id``: 32 random bytes next to the database, made at the first start, mode 0600.

It gives an API key the same short name in every record, and keeps anybody else from finding out which key that is.
Losing it loses only that link: later records name the same key differently.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.ownership import follow

FILE_NAME: Final = "api_key_secret"
SECRET_BYTES: Final = 32


def secret_path(settings: Settings) -> Path:
    """Where it is kept."""
    return settings.data_dir / FILE_NAME


def ensure(path: Path) -> str | None:
    """Make the file if it is missing. Returns a warning if others can read it; raises if it cannot be used."""
    try:
        if not path.exists():
            _create(path)
        secret = path.read_bytes()
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise LlmMetricsProxyError(f"secret file {path}: {error.strerror}; it must be readable and ours") from error
    if len(secret) != SECRET_BYTES:
        raise LlmMetricsProxyError(
            f"secret file {path} has {len(secret)} bytes instead of {SECRET_BYTES}: restore it, or delete it to have "
            "a new one made (the same API key then gets another api_key_id)"
        )
    if mode & 0o077:
        return f"secret file {path} has mode {mode:o}, so that others could match API keys to their ids: chmod 600 it"
    return None


def _create(path: Path) -> None:
    """Whole or not at all, also when two processes start at once: the file gets its name once it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            follow(fd, path.parent)
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(unfinished)
    except FileExistsError:
        return  # another process was first, and its secret is as good
    finally:
        unfinished.unlink()
