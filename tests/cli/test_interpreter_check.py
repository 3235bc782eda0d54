"""What ``doctor`` says of the interpreter, from what interpreters say of their build."""

import sysconfig
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.cli.interpreter_check import profile_guided, python
from llm_metrics_proxy.config.settings import Settings

VERSION = "3.11.7 (main, Nov 27 2026, 10:00:00) [GCC 12.2.0]"
CONDA = "3.11.9 | packaged by conda-forge | (main, Apr 19 2024, 18:36:13) [GCC 12.3.0]"
PYENV = "'--prefix=/home/me/.pyenv/versions/3.11.7' '--enable-shared' '--libdir=/home/me/.pyenv/versions/3.11.7/lib'"
DEBIAN = "'--enable-shared' '--prefix=/usr' '--with-wheel-pkg-dir=/usr/share/python-wheels/' '--with-system-ffi'"
DOCKER = "'--build=x86_64-linux-gnu' '--enable-loadable-sqlite-extensions' '--enable-optimizations' '--with-lto'"
NOT_USED = "-fprofile-use -fprofile-correction"  # of PGO_PROF_USE_FLAG, which every build has
CFLAGS = "-std=c11 -Werror=implicit-function-declaration -fvisibility=hidden"


@pytest.mark.parametrize(
    ("config", "version", "guided"),
    [
        ({"CONFIG_ARGS": PYENV, "PGO_PROF_USE_FLAG": NOT_USED, "PY_CFLAGS_NODIST": CFLAGS}, VERSION, False),
        ({"CONFIG_ARGS": DEBIAN, "PGO_PROF_USE_FLAG": "", "PY_CFLAGS_NODIST": CFLAGS}, VERSION, True),
        ({"CONFIG_ARGS": DOCKER, "PGO_PROF_USE_FLAG": NOT_USED}, VERSION, True),
        ({"CONFIG_ARGS": PYENV, "PY_CFLAGS_NODIST": f"{CFLAGS} -fprofile-use"}, VERSION, True),
        ({"CONFIG_ARGS": PYENV, "PY_CFLAGS_NODIST": "-fprofile-instr-use=code.profclangd"}, VERSION, True),
        ({"CONFIG_ARGS": "", "PY_CFLAGS_NODIST": None}, VERSION, False),  # plain `./configure`
        ({"CONFIG_ARGS": PYENV}, CONDA, None),
        ({"CONFIG_ARGS": DOCKER}, CONDA, True),
        ({}, VERSION, None),  # Windows
    ],
)
def test_the_build_is_read_from_what_it_says_of_itself(
    config: dict[str, Any], version: str, guided: bool | None
) -> None:
    assert profile_guided(config, version) is guided


@pytest.mark.parametrize(
    ("arguments", "said", "advised"),
    [(PYENV, "without profile-guided", "5 to 10 %"), (DOCKER, "with profile-guided", ""), (None, "does not say", "")],
)
def test_the_finding_advises_only_where_another_build_would_be_faster(
    arguments: str | None, said: str, advised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_vars", lambda: {"CONFIG_ARGS": arguments})
    finding = python(Settings(data_dir=tmp_path))
    assert said in finding.found
    assert advised in finding.advice
    assert bool(finding.advice) is bool(advised)
