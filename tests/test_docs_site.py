"""The documentation as a site: pages stand somewhere, addresses lead somewhere, nothing comes from elsewhere."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from PIL import Image, WebPImagePlugin
from tools import write_docs
from tools.docs_site import build
from tools.docs_site.finish import faults, finish
from tools.docs_site.pages import AstrayError, page_of, places
from tools.docs_site.shelves import HOME, MisplacedError, arranged
from tools.reference_pages import api_page, commands_page

ROOT: Final = Path(__file__).parents[1]
KNOWN: Final = places(ROOT)
EXCLUDED: Final = "---\nsearch:\n  exclude: true\n---\n\n"  # from the search: the changelog has every word
CONFIG: Final = '<script id="__config" type="application/json">{"base":"."}</script>'


def staged(text: str, source: str = "docs/topics/cost.md", *, with_pictures: bool = True) -> str:
    return page_of(text, source, KNOWN, ROOT, with_pictures=with_pictures)


def test_every_page_of_the_docs_stands_on_one_shelf() -> None:
    there = [page for _, pages in arranged(list(KNOWN.values())) for page in pages]
    assert sorted([*there, HOME]) == sorted(KNOWN.values())


def test_a_page_that_nobody_placed_and_an_entry_without_its_page_are_named() -> None:
    with pytest.raises(MisplacedError, match=r"on no shelf .*lost\.md"):
        arranged([*KNOWN.values(), "lost.md"])
    with pytest.raises(MisplacedError, match=r"not there: .*settings\.md"):
        arranged([page for page in KNOWN.values() if page != "settings.md"])


def test_links_lead_to_where_pages_stand_in_the_site() -> None:
    assert staged("[a](../settings.md#storage), [b](clients.md)") == "[a](../settings.md#storage), [b](clients.md)"
    assert staged("[v](../../VERSIONING.md)") == "[v](../project/versions.md)"
    assert staged("[r](../../README.md)") == "[r](../index.md)"
    assert staged("[d](docs/decisions/)", "CHANGELOG.md") == EXCLUDED + "[d](../decisions/README.md)"
    assert staged("[unit](../../contrib/llm-metrics-proxy.service)") == "unit (`contrib/llm-metrics-proxy.service`)"
    assert (
        staged("see [web](https://example.org/a.md), [here](#x)") == "see [web](https://example.org/a.md), [here](#x)"
    )


def test_code_stays_as_it_is() -> None:
    text = "`[a](b.md)`\n\n```toml\ntext\n- [x](nowhere.md)\n```\n"
    assert staged(text) == text


def test_a_link_or_a_picture_that_leads_nowhere_ends_it_with_both_names() -> None:
    for text in ("[a](gone.md)", "![a](../images/gone.png)"):
        with pytest.raises(AstrayError, match=r"docs/topics/cost\.md .*gone"):
            staged(text)


def test_pictures_follow_the_theme_and_are_left_out_of_what_a_package_carries() -> None:
    picture = "![a](images/dashboard-costs-dark.png)\n"
    assert staged(picture, "docs/dashboard.md") == "![a](images/dashboard-costs-dark.png#only-dark)\n"
    assert staged(f"before\n\n{picture}{picture}\nafter", "docs/dashboard.md", with_pictures=False) == "before\n\nafter"


def test_a_list_after_a_line_of_text_is_one_for_python_markdown_too() -> None:
    assert staged("text:\n- one\n- two\n") == "text:\n\n- one\n- two\n"
    assert staged("| a |\n- one\n") == "| a |\n- one\n"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="./gone.html">x</a>', "links to ./gone.html, which is not there"),
        ('<a href="#gone">x</a>', "links to #gone, but index.html has no such anchor"),
        ('<script src="https://cdn.example/a.js"></script>', "would fetch https://cdn.example/a.js"),
        ('<img src="//cdn.example/a.png">', "would fetch //cdn.example/a.png"),
        ('<img src="gone.png">', "needs gone.png, which is not there"),
        ("<style>a {}</style>", "has an inline style"),
        ('<p style="color: red">x</p>', "has style on a p"),
        ('<p onclick="x()">x</p>', "has onclick on a p"),
    ],
)
def test_what_a_strict_policy_or_a_reader_would_miss_is_a_fault(tmp_path: Path, body: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(f'{CONFIG}<a href="./index.html">x</a><a name="x" href="#x">x</a>{body}')
    assert faults(tmp_path) == [f"index.html {fault}"]


def test_scripts_inside_of_pages_become_files(tmp_path: Path) -> None:
    (tmp_path / "assets/javascripts").mkdir(parents=True)
    (tmp_path / "index.html").write_text(f"{CONFIG}<script>let a = 1</script>")
    assert faults(tmp_path) == ["index.html has an inline script"]
    finish(tmp_path)
    assert faults(tmp_path) == []
    (script,) = re.findall(r'<script src="\./(.*?)"></script>', (tmp_path / "index.html").read_text())
    assert (tmp_path / script).read_text() == "let a = 1"


def test_pages_that_the_program_writes_are_as_it_writes_them() -> None:
    for name, page in (("commands", commands_page()), ("api", api_page())):
        there = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
        assert there == page, f"run: .venv/bin/python -m tools.write_docs ({write_docs.DOCS / 'reference'})"


def test_versions_stand_beside_each_other_and_the_newest_is_offered_first(tmp_path: Path) -> None:
    for name in ("5.1.0", "5.10.0", "5.2.0", "elsewhere"):
        (tmp_path / name).mkdir()
    build.list_versions(tmp_path)
    listed = json.loads((tmp_path / "versions.json").read_text())
    assert [(one["version"], one["aliases"]) for one in listed] == [
        ("5.10.0", ["latest"]), ("5.2.0", []), ("5.1.0", []),
    ]  # fmt: skip
    assert 'url=5.10.0/index.html"' in (tmp_path / "index.html").read_text()


def test_it_says_how_it_is_called_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.docs_site", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "say what to make: site FOLDER, or help\n")


def test_the_tour_of_the_readme_is_short_and_small() -> None:
    path = ROOT / "docs" / "images" / "tour.webp"
    assert path.stat().st_size < 2_000_000
    with Image.open(path) as film:
        assert isinstance(film, WebPImagePlugin.WebPImageFile)
        shown_ms = 0
        for frame in range(film.n_frames):
            film.seek(frame)
            film.load()
            shown_ms += film.info["duration"]
    assert 15_000 < shown_ms < 25_000


@pytest.mark.system
def test_the_pages_of_help_are_rendered_strictly_small_and_twice_the_same(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="make docs installs it")
    build.build_help(tmp_path / "one")
    files = {path.relative_to(tmp_path / "one").as_posix(): path for path in (tmp_path / "one").rglob("*.*")}
    assert {f"{page.removesuffix('.md')}.html.gz" for page in KNOWN.values() if "README" not in page} <= files.keys()
    assert sum(path.stat().st_size for path in files.values()) < 1_000_000
    assert "search.json.gz" in files
    assert not any(name.endswith((".png", ".webp")) and "dashboard" in name for name in files)
    assert b"<h1" in gzip.decompress(files["settings.html.gz"].read_bytes())
    build.build_help(tmp_path / "two")
    for name, path in files.items():
        assert (tmp_path / "two" / name).read_bytes() == path.read_bytes(), name


@pytest.mark.system
def test_zensical_refuses_an_anchor_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="make docs installs it")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# One\n\n[x](#two)\n")
    shutil.copy(ROOT / "tools/docs_site/zensical.toml", tmp_path)
    text = (tmp_path / "zensical.toml").read_text()
    (tmp_path / "zensical.toml").write_text(text.replace("[project]", '[project]\nsite_name = "x"', 1))
    with pytest.raises(build.SiteError, match="anchor"):
        build.render(tmp_path / "zensical.toml")
