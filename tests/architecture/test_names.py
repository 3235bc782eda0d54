"""Names in backticks exist: in docstrings, comments and pages, a name that the code lost is a lie."""

import ast
import builtins
import io
import keyword
import re
import subprocess
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# A page of history names what was.
HISTORY: Final = {"CHANGELOG.md", "VERSIONING.md", "performance-log.md", "0006-adopted-tables-keep-their-types.md"}
_SOURCES: Final = (".py", ".ts", ".tsx", ".sql", ".sh", ".toml", ".yml", ".yaml", ".json", ".cfg", ".css", ".mjs")

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What could be the name of something in a program: a word, a call, a dotted path, a file.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[./][A-Za-z_][A-Za-z0-9_]*)*(?:\(\))?")
_LOOKS_LIKE_CODE: Final = re.compile(r"_|\.|/|\(\)$|[a-z][A-Z]")
_CLASS: Final = re.compile(r"[A-Z][a-z]\w*")
_FILE: Final = re.compile(r"[\w./-]+\.(?:py|md|sql|sh|toml|json|ts|tsx)")
# Names of other programs, protocols and systems.
FOREIGN: Final = frozenset(
    {
        *("Fetch", "Forwarded", "Origin", "Transfer_Encoding", "Via"),  # HTTP
        "sched_autogroup",  # Linux
        *("TimeoutStopSec", "stop_grace_period", "terminationGracePeriodSeconds"),  # systemd, Compose, Kubernetes
        *("KiB", "MiB", "GiB"),
        *("OLLAMA_ORIGINS", "continuous_usage_stats", "timings_per_token"),  # Ollama, vLLM, llama.cpp
        *("GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "generateContentStream"),  # Google's clients
        "tools/server/README.md",  # llama.cpp's
        "jsonable_encoder",  # FastAPI's
        # ClickHouse's types, engines, tables and settings
        *("LowCardinality", "ReplicatedMergeTree", "remote_servers", "fsync_after_insert"),
        *("system.processes", "system.tables", "system.columns", "system.parts", "system.disks"),
        *("query_plan_optimize_lazy_materialization", "enable_shared_storage_snapshot_in_query"),
    }
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / name for name in listed.rstrip("\0").split("\0") if (ROOT / name).is_file()]


class Words(NamedTuple):
    """What a file says about the code, and the words that are the code: its identifiers, and those of its texts."""

    prose: list[str]
    identifiers: set[str]
    texts: set[str]


def words_of(path: Path) -> Words:
    """Of a Python file."""
    found = Words([], set(), set())
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    fresh = True  # at the beginning of a statement, where a string alone is a docstring
    for token in tokens:
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and fresh):
            found.prose.append(token.string)
        elif token.type == tokenize.NAME:
            found.identifiers.add(token.string)
        elif token.type == tokenize.STRING:
            found.texts.update(_WORD.findall(token.string))
        fresh = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT) or (
            fresh and token.type in (tokenize.NL, tokenize.COMMENT)
        )
    return found


class Known(NamedTuple):
    """The names that the repository has."""

    identifiers: frozenset[str]
    words: frozenset[str]
    files: frozenset[str]


@cache
def known() -> Known:
    identifiers, words, files = {*dir(builtins), *keyword.kwlist}, set(FOREIGN), set(FOREIGN)
    for path in tracked():
        name = str(path.relative_to(ROOT))
        words.update(_WORD.findall(name))
        parts = name.split("/")
        files.update("/".join(parts[start:]) for start in range(len(parts)))
        if path == Path(__file__):
            continue  # it names what nobody has
        if path.suffix == ".py":
            _, found, texts = words_of(path)
            identifiers |= found
            words |= texts
        elif path.suffix in _SOURCES or path.name == "Makefile":
            words.update(_WORD.findall(path.read_text(encoding="utf-8")))
    return Known(frozenset(identifiers), frozenset(identifiers | words), frozenset(files))


def exists(word: str) -> bool:
    """Whether the repository has or makes the name: a setting's variable, a counter's series, an ending (``_ms``)."""
    if _CLASS.fullmatch(word):
        return word in known().identifiers or word in FOREIGN
    setting = word.removeprefix("LLM_METRICS_PROXY_")
    made_of = {
        word,
        word.removesuffix("_total"),
        word.removesuffix("_info"),
        setting if setting == word else setting.lower(),
    }
    return not known().words.isdisjoint(made_of) or (
        word.startswith("_") and any(known_word.endswith(word) for known_word in known().words)
    )


def unknown(text: str, quote: str) -> Iterator[str]:
    """Names between ``quote`` marks that nothing in the repository has."""
    for quoted in re.findall(rf"(?<!`){quote}([^`\n]+){quote}(?!`)", text):
        if _FILE.fullmatch(quoted):
            if quoted not in known().files and not _made(quoted):
                yield quoted
        elif not _NAME.fullmatch(quoted) or (quote == "`" and not _LOOKS_LIKE_CODE.search(quoted)):
            continue
        elif not all(exists(word) for word in _WORD.findall(quoted)):
            yield quoted


def _made(file: str) -> bool:
    """Examples of files: those that a page's blocks make, and those that users or tools make and code names."""
    if any(f"<!-- apply to {file}," in page.read_text(encoding="utf-8") for page in PAGES):
        return True
    return "/" not in file and all(exists(word) for word in _WORD.findall(file))


def python_sources() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.parts[len(ROOT.parts)] in ("src", "tools")]


def test_names_in_comments_and_docstrings_exist() -> None:
    lost = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_sources()
        for text in words_of(path).prose
        for name in (*unknown(text, "``"), *unknown(text, "`"))
    }
    assert lost == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_in_pages_exist(page: Path) -> None:
    if page.name not in HISTORY:
        assert sorted(set(unknown(page.read_text(encoding="utf-8"), "`"))) == []


def test_a_lost_name_is_found() -> None:
    assert list(unknown("see ``Nothing.ofTheKind`` and ``json.loads`` and ``no_such_name_at_all``", "``")) == [
        "Nothing.ofTheKind", "no_such_name_at_all",
    ]  # fmt: skip


def test_every_class_has_a_name_of_its_own() -> None:
    """Names with an underscore too: who looks for one finds one."""
    files = defaultdict(list)
    for path in python_sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                files[node.name].append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in files.items() if len(places) > 1} == {}
