"""Examples of sessions for the OpenAPI document, calculated as real answers are."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.analytics.records import SessionSums
from llm_metrics_proxy.analytics.session_detail import COLUMNS, SessionDetail, detail_of
from llm_metrics_proxy.analytics.sessions import SessionPage, SessionRow, row_of, unix_us
from llm_metrics_proxy.metrics_service import APP_VERSION

_BEGIN: Final = datetime(2026, 3, 1, 12, 0, 0, 104220, UTC)
_ID: Final = "b0f1c9de-4c1f-4a7e-9d43-1c2f7a5e8d10"
_MODEL: Final = "claude-sonnet-4-5"


def _record(number: int, at_s: float, *, prompt: int, cached: int, completion: int, cost: float) -> dict[str, Any]:
    known = {
        "arrival": number, "host": "gpu-1", "request_id": f"{number:032x}",
        "timestamp": stored_time(_BEGIN + timedelta(seconds=at_s)), "model": _MODEL, "backend_name": "anthropic",
        "endpoint": "/v1/messages", "is_streaming": True, "success": True, "status_code": 200,
        "finish_reason": "tool_use", "response_time_ms": 4200.0, "request_sent_ms": 3.5,
        "time_to_first_token_ms": 850.0, "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion, "cached_tokens": cached, "cost_usd": cost, "usage_source": "reported",
    }  # fmt: skip
    return {**dict.fromkeys(COLUMNS), **known}


_RECORDS: Final = (
    _record(40, 0, prompt=14_200, cached=0, completion=310, cost=0.0580),
    {**_record(41, 9, prompt=5_100, cached=0, completion=420, cost=0.0260), "agent_id": "a1", "parent_agent_id": _ID},
    _record(42, 31, prompt=19_800, cached=14_100, completion=540, cost=0.0340),
)


def _session() -> SessionRow:
    def summed(name: str) -> int:
        return sum(record[name] for record in _RECORDS)

    times = [unix_us(record["timestamp"]) for record in _RECORDS]
    sums = SessionSums(
        session_id=_ID,
        requests=len(_RECORDS),
        errors=0,
        first_us=times[0],
        last_us=times[-1],
        ended_us=times[-1] + 4_200_000,
        prompt_tokens=summed("prompt_tokens"),
        completion_tokens=summed("completion_tokens"),
        total_tokens=summed("total_tokens"),
        cached_tokens=summed("cached_tokens"),
        hit_cached_tokens=summed("cached_tokens"),
        hit_prompt_tokens=summed("prompt_tokens"),
        hit_requests=len(_RECORDS),
        cost_usd=0.118,
        cost_requests=len(_RECORDS),
        agents=2,
        models=(_MODEL,),
        app="Claude Code",
        user="device-1",
    )
    return row_of(sums, _BEGIN + timedelta(minutes=2))


def session_page() -> SessionPage:
    """One session, and no other page."""
    return SessionPage(app_version=APP_VERSION, items=[_session()], next_cursor=None)


def session_detail() -> SessionDetail:
    """The same with its three requests."""
    return detail_of(_session(), _RECORDS)
