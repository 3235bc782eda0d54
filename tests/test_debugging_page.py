"""What docs/topics/debugging.md shows works as it stands there."""

import re
from pathlib import Path

import pytest

from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.proxy import stations
from tests.journal_parts import WORKER, a_record, an_ended_record

PAGE = (Path(__file__).parents[1] / "docs" / "topics" / "debugging.md").read_text()


def test_the_example_shows_the_frames_of_a_journal_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    writer = JournalWriter(tmp_path / "data" / "journal", WORKER)
    writer.opened(a_record(1))
    writer.closed(an_ended_record(1))
    writer._lose(an_ended_record(2))
    writer.flush()
    [segment] = (tmp_path / "data" / "journal").glob("*.journal")
    with segment.open("ab") as file:
        file.write(b"torn")
    before = segment.read_bytes()
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "debugging.md", "exec"), {})
    name, first, second = segment.name, a_record(1).request_id, an_ended_record(2).request_id
    assert capsys.readouterr().out.splitlines() == [
        f"{name} opened {first} proxy_crashed",
        f"{name} closed {first} completed",
        f"{name} lost {second} proxy_crashed",
        f"{name} ends with 4 bytes that are no frame",
    ]
    assert segment.read_bytes() == before
    writer.close()


def test_every_station_stands_on_the_page() -> None:
    texts = [path.read_text() for path in Path(stations.__file__).parent.glob("*.py")]
    names = [name for text in texts for name in re.findall(r'reached\([\w.]+, [^"]*"([^"]+)"', text)]
    assert len(names) >= 10
    for name in names:
        for words in re.split(r"%\w|[:,]", name):
            assert words.strip() in PAGE, name
