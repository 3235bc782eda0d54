"""Whether the interpreter was built with profile-guided optimisation: without it, a proxy takes 5 to 10 % more CPU."""

import platform
import sys
import sysconfig
from collections.abc import Mapping
from typing import Any, Final

from llm_metrics_proxy.cli.finding import Finding, ok
from llm_metrics_proxy.config.settings import Settings

# A variable of ``sysconfig``, and what in it shows that profiles were used.
_SIGNS: Final = (
    ("CONFIG_ARGS", "--enable-optimizations"),  # Python's own option: python.org, Docker's images, Fedora, uv
    ("CONFIG_ARGS", "--with-wheel-pkg-dir=/usr/share/python-wheels"),  # Debian, Ubuntu: their rules run `profile-opt`
    ("PY_CFLAGS_NODIST", "-fprofile-use"),  # gcc
    ("PY_CFLAGS_NODIST", "-fprofile-instr-use"),  # clang
)
_SAYS_NOTHING: Final = "conda"  # its recipe runs `profile-opt` too, and leaves no sign


def profile_guided(config: Mapping[str, Any], version: str) -> bool | None:
    """``config``: variables of ``sysconfig``; ``version``: as ``sys.version``. None: it cannot be told."""
    if any(sign in str(config.get(name) or "") for name, sign in _SIGNS):
        return True
    return None if config.get("CONFIG_ARGS") is None or _SAYS_NOTHING in version else False


def python(_settings: Settings) -> Finding:
    """How was the interpreter built?"""
    guided = profile_guided(sysconfig.get_config_vars(), sys.version)
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if guided is None:
        return ok("python", f"{found}; whether with profile-guided optimisation, it does not say")
    if guided:
        return ok("python", f"{found}, built with profile-guided optimisation")
    advice = (
        "one built with --enable-optimizations takes 5 to 10 % less CPU, as those of distributions, python.org and uv "
        "are; for pyenv set PYTHON_CONFIGURE_OPTS='--enable-optimizations --with-lto'"
    )
    return ok("python", f"{found}, built without profile-guided optimisation", advice)
