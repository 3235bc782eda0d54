"""docs/howto/first-change.md, followed to the letter in a copy of the sources."""

from pathlib import Path

import pytest
from tools.guide import blocks, edits

from tests.checkout import ROOT, check_out

PAGE = (ROOT / "docs" / "howto" / "first-change.md").read_text(encoding="utf-8")


@pytest.mark.system
def test_following_the_page_gives_a_filter_that_works(tmp_path: Path) -> None:
    copy = check_out(tmp_path / "copy")
    look, use, check = blocks(PAGE)
    assert "demo-small" in copy.run("sh", "-euc", look)
    *tests, change = edits(PAGE)
    copy.apply(tests)
    run_tests = check.splitlines()[0]
    with pytest.raises(AssertionError, match="finish_reason"):  # section 3: a test that fails
        copy.run("sh", "-euc", run_tests)
    copy.apply([change])
    shown = copy.run("sh", "-euc", use.replace("--finish-reason", "--json --finish-reason"))
    assert shown.count("\n") == shown.count('"finish_reason":"length"') > 0
    copy.run("sh", "-euc", check)
    assert "--finish-reason" in copy.run(".venv/bin/llm-metrics-proxy", "requests", "--help")
