"""What passes is known to be harmless; all else does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.cli.support.known import vocabulary
from llm_metrics_proxy.cli.support.redaction import Redactor, words_of

WORDS = frozenset(words_of("the model of a request ended with status error journal full secret address none metrics"))


def redacted(text: str, **known: list[str]) -> str:
    return Redactor(WORDS, **known).text(text)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("the model ended with status 503", "the model ended with status 503"),
        ("model qwen ended; the model qwen, Qwen", "model <1> ended; the model <1>, <1>"),
        (
            "2026-11-29T23:27:02.123Z error metrics: journal full",
            "2026-11-29T23:27:02.123Z error metrics: journal full",
        ),
        ("12.5ms 64MiB 1e+09 5.1.0 7q", "12.5ms 64MiB 1e+09 5.1.0 <1>"),
        ("10.0.0.7:8001 127.0.0.1:8001 0.0.0.0", "<address>:8001 127.0.0.1:8001 0.0.0.0"),
        ("fe80::1 2001:db8::7 ::1", "<address> <address> ::1"),
        ("::ffff:192.168.77.13 [::ffff:203.0.113.9]:443", "<address> [<address>]:443"),
        ("4111111111111111 +4915112345678 123456789012", "<1> +<2> 123456789012"),
        ("a.person@error.model ended", "<1> ended"),
        ("sk-abc123 Bearer xyz", "<1>-<2> <3> <4>"),
        ("model_status request_qwen", "model_status <1>"),
        ("日本 ☃ 'the'", "<1> ? 'the'"),
        ("99999999999999999999999", "<1>"),
    ],
)
def test_words_of_the_program_numbers_and_times_pass_and_nothing_else(text: str, safe: str) -> None:
    assert redacted(text) == safe


def test_secrets_and_names_go_although_they_are_words_of_the_program() -> None:
    known = {"secrets": ["model-of-error"], "names": ["Status", "the journal", "4711"]}
    assert (
        redacted("xmodel-of-errorx status statuses the journal the 4711", **known)
        == "<1><secret><1> <2> <3> <4> the <5>"
    )


def test_values_of_json_are_gone_through_keys_included() -> None:
    assert Redactor(WORDS).value({"model": ["alice", 1, None, True], "alice": {"error": "bob"}}) == {
        "model": ["<1>", 1, None, True],
        "<1>": {"error": "<2>"},
    }


letters = st.text(st.characters(categories=("L", "N"), exclude_characters="0123456789"), min_size=1, max_size=12)


@given(st.lists(letters | st.text(max_size=4), max_size=8), letters)
def test_no_word_that_is_not_ours_comes_through_whatever_stands_beside_it(around: list[str], word: str) -> None:
    strange = f"Zq{word}"
    text = " ".join([*around, strange, *around])
    assert strange.lower() not in redacted(text).lower()


def test_the_program_s_own_words_are_many_and_no_key_is_among_them() -> None:
    words = vocabulary()
    assert {"journal", "permission", "completion", "requests", "traceback", "uvloop", "mib"} <= words
    assert len(words) > 5_000
