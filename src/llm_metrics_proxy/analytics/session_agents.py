"""The agents of a session as a tree, with what each used, alone and with those that it started. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

MOST_AGENTS: Final = 200


class SessionUse(msgspec.Struct, kw_only=True):
    """Sums; ``None``: no record has it. ``busy_ms``: the part of the session's time that these requests had."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    cost_requests: int = 0
    busy_ms: float = 0.0

    def add(self, other: "SessionUse") -> None:
        """Theirs too."""
        for name in self.__struct_fields__:
            ours, theirs = getattr(self, name), getattr(other, name)
            if theirs is not None:
                setattr(self, name, theirs if ours is None else ours + theirs)


def used_by(record: Mapping[str, Any], busy_ms: float) -> SessionUse:
    """What one request used."""
    cost = record["cost_usd"]
    return SessionUse(
        requests=1,
        errors=int(record["error_category"] is not None),
        prompt_tokens=record["prompt_tokens"],
        completion_tokens=record["completion_tokens"],
        total_tokens=record["total_tokens"],
        cached_tokens=record["cached_tokens"],
        cost_usd=cost,
        cost_requests=int(cost is not None),
        busy_ms=busy_ms,
    )


def summed(parts: Iterable[SessionUse]) -> SessionUse:
    """All together."""
    whole = SessionUse()
    for part in parts:
        whole.add(part)
    return whole


class AgentNode(msgspec.Struct, frozen=True, kw_only=True):
    """One agent; ``agent_id`` ``None`` is the session's own. Nodes stand in the tree's order, a parent before those
    that it started, which are one ``depth`` below."""

    agent_id: str | None
    parent_agent_id: str | None
    depth: int
    own: SessionUse
    whole: SessionUse  # with all below it


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """What requests for one model used."""

    model: str | None
    own: SessionUse


def by_model(records: Sequence[Mapping[str, Any]], used: Sequence[SessionUse]) -> list[ModelUse]:
    """Those first that have most tokens."""
    models: dict[str | None, SessionUse] = {}
    for record, part in zip(records, used, strict=True):
        models.setdefault(record["model"], SessionUse()).add(part)
    rows = [ModelUse(model=model, own=own) for model, own in models.items()]
    return sorted(rows, key=lambda row: (-(row.own.total_tokens or 0), -row.own.requests, row.model or ""))


def tree(session_id: str, records: Sequence[Mapping[str, Any]], used: Sequence[SessionUse]) -> list[AgentNode]:
    """Of records in the order in which they began; agents stand in that order, too, below the one that started them.

    A parent that is no agent here, or would close a circle, is the session itself. Beyond ``MOST_AGENTS``, those that
    began last are counted with their parents.
    """
    own: dict[str | None, SessionUse] = {None: SessionUse()}
    parents: dict[str | None, str | None] = {}
    for record, part in zip(records, used, strict=True):
        agent = record["agent_id"]
        own.setdefault(agent, SessionUse()).add(part)
        if agent is not None:
            parents.setdefault(agent, record["parent_agent_id"])
    for agent, parent in parents.items():
        parents[agent] = parent if parent in own and parent != session_id else None
    _cut_circles(parents)
    children: dict[str | None, dict[str | None, None]] = {}
    for agent, parent in parents.items():
        children.setdefault(parent, {})[agent] = None
    _fold(own, parents, children)
    order: list[tuple[str | None, int]] = []
    todo: list[tuple[str | None, int]] = [(None, 0)]
    while todo:
        agent, depth = todo.pop()
        order.append((agent, depth))
        todo += [(child, depth + 1) for child in reversed(children.get(agent, ()))]
    whole = {agent: summed([own[agent]]) for agent, _ in order}
    for agent, _ in reversed(order):
        if agent is not None:
            whole[parents[agent]].add(whole[agent])
    return [
        AgentNode(agent_id=agent, parent_agent_id=parents.get(agent), depth=depth, own=own[agent], whole=whole[agent])
        for agent, depth in order
    ]


def _cut_circles(parents: dict[str | None, str | None]) -> None:
    """Each agent is looked at once, however long a chain somebody has made up."""
    done: set[str | None] = {None}
    for agent in list(parents):
        path: dict[str | None, None] = {}
        at: str | None = agent
        while at not in done:
            path[at] = None
            if parents[at] in path:
                parents[at] = None
            at = parents[at]
        done.update(path)


def _fold(
    own: dict[str | None, SessionUse],
    parents: dict[str | None, str | None],
    children: dict[str | None, dict[str | None, None]],
) -> None:
    """Leaves that began last give what they used to their parents, until few enough are left."""
    leaves = deque(agent for agent in reversed(parents) if not children.get(agent))
    while len(parents) > MOST_AGENTS and leaves:
        agent = leaves.popleft()
        parent = parents.pop(agent)
        own[parent].add(own.pop(agent))
        del children[parent][agent]
        if parent is not None and not children[parent]:
            leaves.append(parent)
