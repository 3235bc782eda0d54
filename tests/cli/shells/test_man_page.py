"""The manual page: complete, and without a fault for either formatter."""

import re
import subprocess

from tools import shell_files

from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.config.toml_tables import TOML_TABLES

PAGE = shell_files.FOLDER / shell_files.MAN_PAGE


def shown() -> str:
    """As a terminal shows it, in one paragraph."""
    command = ["mandoc", "-T", "utf8", "-O", "width=900", str(PAGE)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+", " ", re.sub(r".\x08", "", text))


def test_mandoc_and_groff_find_no_fault() -> None:
    lint = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(PAGE)], capture_output=True, text=True, check=False
    )
    # Without a date, because the same sources are to make the same page.
    assert [line for line in lint.stdout.splitlines() if "missing date" not in line] == []
    groff = subprocess.run(["groff", "-man", "-Tutf8", "-ww", str(PAGE)], capture_output=True, text=True, check=True)
    assert groff.stderr == ""


def test_it_names_every_verb_flag_setting_and_table() -> None:
    text = shown()
    for row in rows().values():
        if not row.toml_only and not row.no_flag:
            assert row.flag in text, row.name
    for name in TOML_TABLES:
        assert f"[[{name}]]" in text
    for words in ("migrate undo", "config check", "sessions show SESSION", "LLM_METRICS_PROXY_CONFIG", "SIGHUP", "141"):
        assert words in text, words
    assert "what your own machine costs (usd_per_hour in [[prices]])" in text
    assert "\N{ALMOST EQUAL TO}" in text
