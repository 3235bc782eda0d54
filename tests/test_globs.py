"""Patterns for names of models, held against the standard library's where the two agree."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.globs import glob_pattern, matches


@pytest.mark.parametrize(
    ("glob", "model", "fits"),
    [
        ("*", "anything/at:all", True),
        ("gpt-4", "gpt-4", True),
        ("gpt-4", "gpt-4o", False),
        ("gpt-4", "GPT-4", False),
        ("gpt-4?", "gpt-4o", True),
        ("llama3*:8b", "llama3.1:8b", True),
        ("*/qwen*", "org/qwen-2", True),
        ("gpt.4", "gpt-4", False),
        ("[a-c]x", "bx", True),
        ("[!a-c]x", "bx", False),
        ("[]]", "]", True),
        ("[^a]", "^", True),
        ("[[]", "[", True),
        ("a\\b", "a\\b", True),
    ],
)
def test_globs(glob: str, model: str, fits: bool) -> None:
    assert matches(glob, model) is fits


@pytest.mark.parametrize("glob", ["[a", "x[!", "[", "[z-a]"])
def test_what_is_no_pattern_is_named(glob: str) -> None:
    with pytest.raises(ValueError, match=r"a \[ without its ]|is not a pattern"):
        glob_pattern(glob)


@given(st.text("ab*?[]!-^&|~.\\", max_size=8), st.text("ab-^!]&.\\", max_size=5))
def test_they_mean_what_shells_mean(glob: str, model: str) -> None:
    try:
        pattern = glob_pattern(glob)
    except ValueError:
        return
    assert (pattern.fullmatch(model) is not None) == fnmatchcase(model, glob)
