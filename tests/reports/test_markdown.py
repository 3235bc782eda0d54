import re

from msgspec.structs import replace

from llm_metrics_proxy.analytics.history import history_of
from llm_metrics_proxy.analytics.records import Carried
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.reports.markdown import markdown, text
from tests.analytics.database import Database, a_record
from tests.reports.traffic import HOSTILE, hostile, report_of, two_weeks


def cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line))


def test_it_has_all_parts_and_every_line_of_a_table_has_the_same_cells(database: Database) -> None:
    two_weeks(database)
    hostile(database)
    document = markdown(report_of(database))
    for title in ("# LLM traffic report", "## Figures", "## Models", "## What went wrong", "## The slowest requests"):
        assert f"\n{title}\n" in f"\n{document}"
    for block in document.split("\n\n"):
        if block.startswith("|"):
            assert len({cells(line) for line in block.splitlines()}) == 1
    assert f"by version {APP_VERSION}" in document
    assert document.endswith("\n")


def test_whatever_strangers_wrote_is_no_markup(database: Database) -> None:
    hostile(database)
    document = markdown(report_of(database))
    assert not re.search(r"(?<!\\)<(script|img)", document)
    assert not re.search(r"(?<!\\)\[f", document)
    assert "http://evil" not in document
    assert all(line.isprintable() or "\u2068" in line for line in document.splitlines())


def test_a_text_keeps_its_letters_behind_backslashes() -> None:
    for one in HOSTILE:
        unescaped = re.sub(r"\\(.)", r"\1", text(one))
        assert unescaped.startswith("x" if one.startswith("x") else unescaped[:1])
    assert text("a|b`c`*d*_e_[f](http://x)") == r"a\|b\`c\`\*d\*\_e\_\[f\](http\://x)"
    assert text("www.evil.example") == r"www\.evil.example"
    assert text("llama3.1:8b") == "llama3.1:8b"
    assert text(None) == "(none)"


def test_an_empty_range_is_a_document_too(database: Database) -> None:
    document = markdown(report_of(database))
    assert "There were no requests" in document
    assert "## Figures" not in document


def test_history_that_is_lacking_is_told_in_front(database: Database) -> None:
    database.add(a_record(0))
    lacking = history_of(Carried(250, 1000, None, "migration 3 was taken back (<b>)"))
    document = markdown(replace(report_of(database), history=lacking))
    told = "> 750 older records are not in the answers: migration 3 was taken back (\\<b\\>)."
    assert document.index(told) < document.index("## Figures")


def test_without_errors_that_is_said(database: Database) -> None:
    database.add(a_record(0), app_version="3.0.0")
    assert "Nothing, according to the records." in markdown(report_of(database))
