"""Runs of agents as records: prompts that grow, caches that help or not, tools and people between requests."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.record import RequestRecord

MODELS: Final = {"claude-opus-4-5": (5.0, 25.0), "claude-sonnet-4-5": (3.0, 15.0), "claude-haiku-4-5": (1.0, 5.0)}
REASONS: Final = ("messages_changed", "system_changed", "tools_changed", None)
MOST_CONTEXT: Final = 165_000


class _Agent(NamedTuple):
    session_id: str
    agent_id: str | None
    parent: str | None
    model: str
    app: str
    user: str


def _request(
    chosen: random.Random, agent: _Agent, at: datetime, number: str, prompt: int, cached: int
) -> RequestRecord:
    fails = chosen.random() < 0.025
    answer = 0 if fails else int(chosen.lognormvariate(5.6, 0.8)) + 8
    reason = chosen.choice(REASONS) if cached == 0 and prompt > 20_000 else None
    first = chosen.lognormvariate(6.9, 0.3) + (prompt - cached) / 14
    last = first + answer * 1000 / chosen.lognormvariate(4.2, 0.15)
    read, written = MODELS[agent.model]
    facts: dict[str, Any] = {"success": True, "outcome": "completed", "status_code": 200, "upstream_status_code": 200}
    if fails:
        facts = {"success": False, "outcome": "upstream_error", "status_code": 529, "upstream_status_code": 529,
                 "error_message": "Overloaded", "response_time_ms": chosen.uniform(300, 2_000)}  # fmt: skip
    else:
        facts |= {
            "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer,
            "cached_tokens": cached, "cache_write_tokens": prompt - cached, "usage_source": "reported",
            "finish_reason": "tool_use" if chosen.random() < 0.85 else "end_turn", "response_time_ms": last + 3,
            "time_to_first_byte_ms": first * 0.95, "time_to_first_token_ms": first, "time_to_last_token_ms": last,
            "response_headers_ms": first * 0.6, "content_chunks": answer, "cache_miss_reason": reason,
            "upstream_cost_usd": ((prompt - cached) * read * 1.25 + cached * read * 0.1 + answer * written) / 1e6,
        }  # fmt: skip
    return RequestRecord(
        request_id=number, timestamp=stored_time(at), method="POST", endpoint="/v1/messages",
        dialect="anthropic_stream", backend="api.example:443", backend_name="anthropic", model=agent.model,
        response_model=agent.model, user=agent.user, user_agent="claude-cli/2.1.197", app=agent.app,
        session_id=agent.session_id, session_source="header:x-claude-code-session-id", agent_id=agent.agent_id,
        parent_agent_id=agent.parent, is_streaming=True, attempts=1, body_complete_ms=2.0, upstream_acquired_ms=2.4,
        request_sent_ms=3.0 + prompt / 20_000, request_bytes=prompt * 4, response_bytes=answer * 120,
        message_count=4, api_key_id="5d41402abc4b", **facts,
    )  # fmt: skip


def a_run(begin: datetime, turns: int, seed: int, session_id: str, **who: Any) -> list[RequestRecord]:
    """One session: a person, an agent that asks ``turns`` times, and subagents that it starts."""
    chosen = random.Random(f"{seed} {session_id}")
    named = {"app": "Claude Code", "user": f"device-{seed % 7}", "model": "claude-sonnet-4-5", "parent": None, **who}
    found: list[RequestRecord] = []

    def asks(agent: _Agent, at: datetime, prompt: int, many: int, *, forks: bool) -> None:
        cached = 0
        for turn in range(many):
            number = f"{seed:08x}{len(found):08x}{chosen.getrandbits(64):016x}"
            record = _request(chosen, agent, at, number, prompt, cached)
            found.append(record)
            at += timedelta(milliseconds=record.response_time_ms or 0)
            if forks and turn % 19 == 7:
                for fork in range(chosen.randint(1, 3)):
                    name = f"agent-{turn}-{fork}"
                    small = agent._replace(agent_id=name, parent=session_id, model="claude-haiku-4-5")
                    asks(small, at + timedelta(seconds=fork), 9_000, chosen.randint(3, 9), forks=False)
            thinks = chosen.random() < 0.06 and forks
            at += timedelta(seconds=chosen.uniform(90, 900) if thinks else chosen.lognormvariate(0.8, 0.9))
            cached = 0 if chosen.random() < 0.04 else prompt
            prompt += int(chosen.lognormvariate(6.9, 0.9)) + (record.completion_tokens or 0)
            if prompt > MOST_CONTEXT:
                prompt, cached = 24_000, 12_000

    own = _Agent(session_id, None, **{key: named[key] for key in ("parent", "model", "app", "user")})
    asks(own, begin, 14_500, turns, forks=True)
    return found


def runs(many: int, end: datetime, seed: int = 11) -> Iterator[RequestRecord]:
    """``many`` sessions of the day before ``end``; the last one still runs."""
    chosen = random.Random(seed)
    found: list[RequestRecord] = []
    for number in range(many):
        turns = int(chosen.lognormvariate(3.1, 0.9)) + 2
        begin = end - timedelta(hours=chosen.uniform(1, 22))
        name = f"{chosen.getrandbits(128):032x}"
        session_id = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
        app, model = chosen.choice((("Claude Code", "claude-opus-4-5"), ("Claude Code", "claude-sonnet-4-5"),
                                    ("OpenCode", "claude-sonnet-4-5"), ("Codex", "claude-sonnet-4-5")))  # fmt: skip
        found += a_run(begin, turns, number, session_id, app=app, model=model)
    found += a_run(end - timedelta(hours=4), 160, 997, "burner", model="claude-opus-4-5")
    found += a_run(end - timedelta(hours=2), 6, 998, "burner-review", app="OpenCode", parent="burner")
    found += a_run(end - timedelta(minutes=4), 400, 999, "running")
    yield from (record for record in found if record.timestamp < stored_time(end - timedelta(seconds=20)))
