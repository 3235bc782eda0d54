"""Who asks: which source of each column counts, what is hashed, and what is not stored. Pure but for its caches.

What a head says is settled with its plan, what a body says once it is here. A body's source counts where the head has
none that comes before it. Requests of one session say the same again and again, so both are remembered: 22 µs for a new
head, and 15 for a body of Claude Code, became 2.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.proxy.identity import agent_of, origin_of
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire import apps
from llm_metrics_proxy.wire.base import RequestFacts, copy_request_facts
from llm_metrics_proxy.wire.identity import (
    BODY,
    HEADER,
    HEADER_FIELDS,
    READERS,
    SOURCES,
    USER,
    Claims,
    claimed,
    header_text,
    one_line,
    sane,
)

COLUMNS: Final = ("app", *SOURCES)  # that settings can name sources for
_CACHED: Final = 10_000
_HASH_CHARS: Final = 16
_CACHED_BODIES: Final = 100  # of each head
_MAX_KEY_BYTES: Final = 1024
_IDS: Final = frozenset({"session_id", "agent_id", "parent_agent_id"})  # never cut: a part of an id is another id


class Found(NamedTuple):
    """A value as it was given; ``rank``: the place of its source in the column's order."""

    rank: int
    value: str
    source: str


class Caller(NamedTuple):
    """What a head says. ``columns``: of the record, as they are stored."""

    found: Mapping[str, Found]
    columns: tuple[tuple[str, str], ...]
    app: str | None
    origin: str | None
    user_agent: str | None
    settled: dict[tuple[Any, ...], tuple[tuple[str, str | None], ...]]  # by what bodies said: the columns then


class _BodySource(NamedTuple):
    rank: int
    path: str
    read: Callable[[Claims], str | None] | None  # None: the text at the path


class Askers:
    """One for each set of settings: ``mapped`` are the sources that come before the built-in ones, by column."""

    def __init__(
        self,
        secret: bytes,
        mapped: Mapping[str, Sequence[str]] | None = None,
        hashed: Sequence[str] = (),
        not_stored: Sequence[str] = (),
    ) -> None:
        self._secret = secret
        self._hashed = frozenset(hashed)
        self._not_stored = frozenset(not_stored)
        self._known: dict[str, str] = {}
        self._callers: dict[tuple[Any, ...], Caller] = {}
        self._app_sources = tuple((mapped or {}).get("app", ()))
        self._heads: dict[str, list[tuple[int, str]]] = {}
        self._bodies: dict[str, list[_BodySource]] = {}
        names: list[str] = []  # of fields that no rule knows
        members: dict[str, None] = {}
        for column in COLUMNS:
            given = [
                source.lower() if source.startswith(HEADER) else source for source in (mapped or {}).get(column, ())
            ]
            for rank, source in enumerate(dict.fromkeys((*given, *SOURCES.get(column, ())))):
                name = source.partition(":")[2]
                if source.startswith(HEADER):
                    self._heads.setdefault(column, []).append((rank, name))
                    names += [name] if source in given else []
                else:
                    read = None if source in given else READERS.get((column, name))
                    self._bodies.setdefault(column, []).append(_BodySource(rank, name, read))
                    members.update(dict.fromkeys([name.partition(".")[0]] if source in given else []))
        self.members = tuple(members)  # of bodies, beside those that are read anyway
        self._mapped_names = frozenset(name.encode() for name in names)
        mapped_columns = frozenset(column for column, sources in (mapped or {}).items() if sources)
        self._watched = frozenset((*_OTHER_FACTS, *HEADER_FIELDS, *names))
        # Even where the body claims nothing: what it says of the user is stored by then.
        self.settles = "user" in (self._hashed | self._not_stored | mapped_columns)

    def of_head(self, facts: dict[str, bytes], lines: Sequence[bytes]) -> Caller:
        """What a head says: ``facts`` are the fields that rules know, ``lines`` those that are passed on."""
        if self._mapped_names:
            facts = facts | _named(lines, self._mapped_names)
        watched = self._watched
        key = tuple([item for item in facts.items() if item[0] in watched])
        known = self._callers.get(key)
        if known is None:
            known = self._caller(facts)
            if len(self._callers) >= _CACHED:
                self._callers.clear()
            if sum(len(value) for _, value in key) <= _MAX_KEY_BYTES:
                self._callers[key] = known
        return known

    def _caller(self, facts: Mapping[str, bytes]) -> Caller:
        found: dict[str, Found] = {}
        for column, sources in self._heads.items():
            for rank, name in sources:
                if name in facts and (value := _checked(column, header_text(facts[name]))) is not None:
                    found[column] = Found(rank, value, HEADER + name)
                    break
        if "app" not in found and (app := app_of(facts)) is not None:
            found["app"] = Found(len(self._app_sources), app, "")
        columns = dict(self._columns(found))
        return Caller(
            found,
            tuple((name, value) for name, value in columns.items() if name != "app"),
            columns.get("app"),
            self._shown("origin", origin_of(facts)),
            self._shown("user_agent", agent_of(facts)),
            {},
        )

    def take(self, record: RequestRecord, head: Caller, facts: RequestFacts) -> None:
        """Store what a body says. Where it names no model, the path's stays."""
        copy_request_facts(facts, record)
        if facts.claims is not None or self.settles:
            self.settle(record, head, facts)

    def settle(self, record: RequestRecord, head: Caller, facts: RequestFacts) -> None:
        """Store whom a body names, where that comes before what the head said."""
        claims = facts.claims or {}
        said = [bytes(value) if isinstance(value, msgspec.Raw) else repr(value) for value in claims.values()]
        key = (facts.user, *claims, *said)
        columns = head.settled.get(key)
        if columns is None:
            columns = tuple({"user": None, **dict(self._settled(head, facts, claims))}.items())
            if len(head.settled) >= _CACHED_BODIES:
                head.settled.clear()
            if sum(map(len, said)) <= _MAX_KEY_BYTES:
                head.settled[key] = columns
        for name, shown in columns:
            setattr(record, name, shown)

    def _settled(self, head: Caller, facts: RequestFacts, claims: Claims) -> list[tuple[str, str]]:
        found = dict(head.found)
        for column, sources in self._bodies.items():
            for rank, path, read in sources:
                if column in found and found[column].rank < rank:
                    break
                text = facts.user if BODY + path == USER else claimed(claims, path) if read is None else read(claims)
                value = _checked(column, text)
                if value is not None:
                    found[column] = Found(rank, value, BODY + path)
                    break
        return self._columns(found)

    def _columns(self, found: Mapping[str, Found]) -> list[tuple[str, str]]:
        """What is stored of it. An agent that is named like its session is the session's own, and says nothing more."""
        session = found.get("session_id")
        columns: list[tuple[str, str]] = []
        for column, (_, value, source) in found.items():
            if column == "agent_id" and session is not None and value == session.value:
                continue
            shown = self._shown(column, value)
            if shown is not None:
                columns.append((column, shown))
                if column == "session_id":
                    columns.append(("session_source", source))
        return columns

    def _shown(self, column: str, value: str | None) -> str | None:
        if value is None or column in self._not_stored:
            return None
        return self._hash(value) if column in self._hashed else value

    def _hash(self, value: str) -> str:
        """The same value has the same id in every column, under the secret that ids of keys are made with."""
        known = self._known.get(value)
        if known is None:
            known = hmac.digest(self._secret, value.encode("utf-8", "replace"), "sha256").hex()[:_HASH_CHARS]
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[value] = known
        return known


def app_of(facts: Mapping[str, bytes]) -> str | None:
    """The application: first what a person may have set, then what a program always sends, then its library."""
    for field, name_of in _APP_FIELDS:
        value = facts.get(field)
        if value:
            text = one_line(header_text(value))
            name = None if text is None else name_of(text)
            if name:
                return name
    return None


_OTHER_FACTS: Final = ("metrics_origin", "user_agent", "origin", "referer")  # beside those that only say who asks
# The order and its reasons are in ``docs/topics/identity.md``.
_APP_FIELDS: Final[tuple[tuple[str, Callable[[str], str | None]], ...]] = (
    ("metrics_origin", str),
    ("x-openrouter-title", apps.titled),
    ("x-title", apps.titled),
    ("http-referer", apps.of_site),
    ("originator", apps.titled),
    ("x-client-app", apps.of_user_agent),  # who uses Claude's Agent SDK
    ("x-openwebui-user-id", lambda _: "Open WebUI"),
    ("x-openwebui-chat-id", lambda _: "Open WebUI"),
    ("x-app", apps.of_x_app),
    ("user_agent", apps.of_user_agent),
)


def _checked(column: str, text: Any) -> str | None:
    return sane(text) if column in _IDS else one_line(text)


def _named(lines: Sequence[bytes], names: frozenset[bytes]) -> dict[str, bytes]:
    """The fields of these lower-case names."""
    pairs = ((line[: (at := line.index(b":"))].lower(), line[at + 1 :].strip()) for line in lines)
    return {name.decode("latin-1"): value for name, value in pairs if name in names}
