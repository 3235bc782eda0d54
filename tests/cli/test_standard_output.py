"""The parts of standard output that need no process of their own; the rest is tests/system/test_standard_output.py."""

import codecs

import pytest

from llm_metrics_proxy.cli.standard_output import stand_ins
from llm_metrics_proxy.errors import OutputClosedError, OutputError


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("a…→•b", "ascii", b"a.>*b"),
        ("▁▄█", "ascii", b"148"),
        ("modèle", "ascii", b"mod?le"),
        ("modèle", "latin-1", "modèle".encode("latin-1")),
        ("日本", "latin-1", b"????"),  # as wide as they were
        ("\udcff\ufffd", "utf-8", b"?\xef\xbf\xbd"),
        ("", "ascii", b""),
    ],
)
def test_stand_ins_are_as_wide_as_what_they_stand_for(text: str, encoding: str, shown: bytes) -> None:
    codecs.register_error("stand-ins-of-the-test", stand_ins)
    assert text.encode(encoding, "stand-ins-of-the-test") == shown


def test_a_reader_that_left_has_no_words_and_the_exit_code_of_shells() -> None:
    assert (str(OutputClosedError()), OutputClosedError.exit_code) == ("", 141)
    assert issubclass(OutputClosedError, OutputError)
