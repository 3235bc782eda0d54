"""What a release changes, as data that other versions can read: ``release.json`` in the package, made by
``python -m tools.release_facts`` from the sources, the changelog and the settings table.

So a version that is installed can say what a wheel of another one would do, without running anything of it.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from semver import Version

from llm_metrics_proxy.errors import LlmMetricsProxyError

FILE: Final = Path(__file__).parents[1] / "release.json"
_NAME: Final = "llm_metrics_proxy/release.json"
_LARGEST_BYTES: Final = 8 * 1024**2
FORMAT: Final = 1


class ReleaseNote(msgspec.Struct, frozen=True, kw_only=True):
    """One version in the changelog: what works differently, and what is gone."""

    version: str
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class NumberNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a version changes about stored numbers."""

    version: str
    breaking: tuple[str, ...]


class ReleasedMigration(msgspec.Struct, frozen=True, kw_only=True):
    """A migration to ``version``."""

    version: str
    summary: str


class ReleasedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting, or a key of a table of the file (``backends.url``)."""

    name: str
    default: str
    allowed: str


class ReleaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``format``: greater than ``FORMAT`` means that older programs cannot read it."""

    format: int = FORMAT
    version: str
    requires_python: str
    migrations: tuple[ReleasedMigration, ...]
    schema_steps: tuple[str, ...]
    settings: tuple[ReleasedSetting, ...]
    notes: tuple[ReleaseNote, ...]
    numbers: tuple[NumberNote, ...]


def of_this_program() -> ReleaseFacts:
    """Those that this installation brings."""
    return _decoded(FILE.read_bytes(), str(FILE))


def of_wheel(path: Path) -> ReleaseFacts:
    """Those in a wheel. Raises ``LlmMetricsProxyError`` if it has none, or is no wheel of this program."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_NAME).file_size > _LARGEST_BYTES:
                raise LlmMetricsProxyError(f"{path}: its {_NAME} is too large to be one")
            content = archive.read(_NAME)
    except OSError as error:
        raise LlmMetricsProxyError(f"{path} cannot be read: {error.strerror}") from error
    except zipfile.BadZipFile as error:
        raise LlmMetricsProxyError(f"{path} is no wheel: {error}") from error
    except KeyError as error:
        raise LlmMetricsProxyError(
            f"{path} does not say what it changes: it is no wheel of this program, or one of 5.1.0 or older"
        ) from error
    return _decoded(content, str(path))


def _decoded(content: bytes, where: str) -> ReleaseFacts:
    try:
        head = msgspec.json.decode(content)
        if isinstance(head, dict) and isinstance(head.get("format"), int) and head["format"] > FORMAT:
            raise LlmMetricsProxyError(f"{where} is of a version that this one cannot read; ask that one")
        facts = msgspec.json.decode(content, type=ReleaseFacts)
        stated = [*(one.version for one in facts.migrations), *(one.version for one in facts.notes)]
        for each in (facts.version, *stated, *(one.version for one in facts.numbers)):
            Version.parse(each)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise LlmMetricsProxyError(f"{where} does not hold what it should: {error}") from error
    return facts


class SettingChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Between two releases. ``gone_in_use``: those that are given here and would be refused, with what may be meant."""

    gone_in_use: dict[str, str | None]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    defaults: dict[str, tuple[str, str]]  # of those that are at their default here: before and after


def setting_changes(before: ReleaseFacts, after: ReleaseFacts, in_use: Sequence[str]) -> SettingChanges:
    """``in_use``: settings, and keys of tables, that are given here."""
    old, new = ({each.name: each for each in facts.settings} for facts in (before, after))
    gone = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    return SettingChanges(
        gone_in_use={name: _renamed(name, added) for name in gone if name in in_use},
        gone=tuple(name for name in gone if name not in in_use),
        new=tuple(added),
        defaults={
            name: (old[name].default, new[name].default)
            for name in old
            if name in new and old[name].default != new[name].default and name not in in_use
        },
    )


def _renamed(name: str, added: Sequence[str]) -> str | None:
    """The new name that shares most of its words, if it shares more than half."""
    words = set(name.replace(".", "_").split("_"))

    def shared(other: str) -> float:
        others = set(other.replace(".", "_").split("_"))
        return len(words & others) / len(words | others)

    best = max(added, key=shared, default=None)
    return best if best is not None and shared(best) > 0.5 else None


def between(facts: ReleaseFacts, after: str) -> tuple[list[ReleaseNote], list[NumberNote]]:
    """What its changelog says of versions newer than ``after``, the oldest first."""
    start = Version.parse(after)
    notes = sorted((each for each in facts.notes if Version.parse(each.version) > start), key=_order)
    numbers = sorted((each for each in facts.numbers if Version.parse(each.version) > start), key=_order)
    return notes, numbers


def _order(note: ReleaseNote | NumberNote) -> Version:
    return Version.parse(note.version)
