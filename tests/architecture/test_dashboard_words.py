"""The dashboard says every text of the program in every language, and its English is the program's."""

import re
from pathlib import Path

import pytest
from tools.dashboard_words import LANGUAGES, faults, program_texts, read, renewed, written

I18N = Path(__file__).parents[2] / "dashboard" / "src" / "i18n"
FILES = sorted(program_texts())
_NAMES = re.compile(r"`([^`]+)`|\]\(([^)]+)\)")


@pytest.mark.parametrize("name", FILES)
def test_every_text_of_the_program_has_a_row_in_every_language(name: str) -> None:
    rows, texts = read(I18N / name), program_texts()[name]
    assert not faults(rows, texts), "run make dashboard-types, then translate"
    assert (I18N / name).read_text(encoding="utf-8") == written(renewed(rows, texts))


def test_no_file_of_the_folder_is_left_out() -> None:
    assert [f"lazy/{path.name}" for path in sorted((I18N / "lazy").iterdir())] == [
        name for name in FILES if name.startswith("lazy/")
    ]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("lazy/")])
def test_names_and_links_are_in_no_language_translated(name: str) -> None:
    """What stands in back-ticks is typed as it is, and a link leads to the same page."""
    for key, row in read(I18N / name).items():
        english = {part for pair in _NAMES.findall(row["en"]) for part in pair}
        for language, text in row.items():
            said = {part for pair in _NAMES.findall(text) for part in pair}
            # A choice that English leaves to the docs may be named; nothing that English names may be missing.
            assert english <= said, f"{key} in {language}: {sorted(english - said)}"


@pytest.mark.parametrize("name", FILES)
def test_no_translation_is_the_english_sentence(name: str) -> None:
    for key, row in read(I18N / name).items():
        same = [language for language in LANGUAGES[1:] if row[language] == row["en"] and " " in row["en"]]
        assert not same, f"{key}: {same}"


def test_what_rots_is_found() -> None:
    whole = dict.fromkeys(LANGUAGES, "A text.")
    assert not faults({"a": whole}, {"a": "A text."})
    assert faults({"a": whole}, {"a": "Another."}) == ["a: the program says 'Another.' now"]
    assert faults({"a": whole, "b": whole}, {"a": "A text."}) == ["b: no text of the program has this name"]
    assert faults({"a": {**whole, "de": ""}}, {"a": "A text."}) == ["a: not said in de"]
    assert len(faults({}, {"a": "A text."})) == len(LANGUAGES)


def test_a_changed_text_loses_its_translations() -> None:
    rows = {"kept": {"en": "Old", "de": "Alt"}, "changed": {"en": "Old", "de": "Alt"}, "gone": {"en": "Old"}}
    assert renewed(rows, {"kept": "Old", "changed": "New", "more": "More"}) == {
        "kept": {"en": "Old", "de": "Alt"},
        "changed": {"en": "New"},
        "more": {"en": "More"},
    }
