"""Which price counts: the server's own, then the user's, then the public one, then none."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.pricing import Pricer, PriceRow, pricer
from llm_metrics_proxy.pricing.pricer import is_local
from llm_metrics_proxy.record import RequestRecord
from tests.journal_parts import an_ended_record

OPENAI: dict[str, Any] = {
    "backend": "api.openai.com:443",
    "dialect": "openai_chat",
    "model": "gpt-4o",
    "response_model": "gpt-4o-2024-08-06",
    "prompt_tokens": 1000,
    "completion_tokens": 100,
}
ROW = PriceRow(model="gpt-4o*", input_usd_per_mtok=1000.0, output_usd_per_mtok=2000.0)


def a_request(**facts: Any) -> RequestRecord:
    return an_ended_record(1, **{**OPENAI, **facts})


def about(usd: float, source: str) -> Any:
    """A price, up to the last bits of floating point."""
    return (pytest.approx(usd, rel=1e-9), source)


def test_a_public_price_is_that_of_the_provider_behind_the_address() -> None:
    assert Pricer().price(a_request(cached_tokens=500))[:2] == about(0.002875, "genai_prices")


def test_the_users_row_comes_before_the_public_list() -> None:
    assert Pricer([ROW]).price(a_request())[:2] == (1.2, "price_table")


def test_the_servers_own_cost_comes_before_everything() -> None:
    assert Pricer([ROW]).price(a_request(upstream_cost_usd=0.25))[:2] == (0.25, "upstream")
    assert Pricer([ROW]).price(a_request(upstream_cost_usd=0.0))[:2] == (0.0, "upstream")


@pytest.mark.parametrize("nonsense", [-1.0, math.nan, math.inf])
def test_a_cost_that_is_none_is_not_believed(nonsense: float) -> None:
    assert Pricer([ROW]).price(a_request(upstream_cost_usd=nonsense))[:2] == (1.2, "price_table")


@pytest.mark.parametrize("backend", ["127.0.0.1:11434", "10.0.0.5:8000", "ollama:11434", "[::1]:8080", "gpu.local:80"])
def test_a_local_model_costs_an_unknown_sum_and_not_nothing(backend: str) -> None:
    assert is_local(backend.rpartition(":")[0].strip("[]"))
    assert Pricer().price(a_request(backend=backend))[:2] == (None, None)


@pytest.mark.parametrize("host", ["api.openai.com", "8.8.8.8", "2001:4860:4860::8888", "llm.example.org"])
def test_what_the_internet_knows_is_not_local(host: str) -> None:
    assert not is_local(host)


def test_a_server_that_no_list_knows_is_priced_only_where_nobody_else_can_run_the_model() -> None:
    gateway = {"backend": "llm.example.org:443", "cached_tokens": None}
    assert Pricer().price(a_request(**gateway))[:2] == (None, None)
    claude = {**gateway, "dialect": "anthropic_messages", "model": "claude-sonnet-4-5", "response_model": None}
    assert Pricer().price(a_request(**claude))[:2] == about(0.0045, "genai_prices")
    assert Pricer().price(a_request(**{**claude, "model": "qwen3"}))[:2] == (None, None)
    assert Pricer().price(a_request(**{**claude, "backend": "10.1.1.1:80"}))[:2] == (None, None)


@pytest.mark.parametrize(
    ("dialect", "model", "usd"),
    [
        ("gemini_stream", "gemini-2.5-pro", 1000 * 1.25e-6 + 100 * 10e-6),
        ("vertex_messages", "claude-sonnet-4@20250514", 1000 * 3e-6 + 100 * 15e-6),
    ],
)
@pytest.mark.parametrize(
    "host", ["generativelanguage.googleapis.com", "europe-west1-aiplatform.googleapis.com", "gw.example.com"]
)
def test_googles_models_have_public_prices(host: str, dialect: str, model: str, usd: float) -> None:
    asked = a_request(
        backend=f"{host}:443", dialect=dialect, model=model, response_model=None, prompt_tokens=1000,
        completion_tokens=100, cached_tokens=None, reasoning_tokens=None,
    )  # fmt: skip
    assert Pricer().price(asked)[:2] == about(usd, "genai_prices")


def test_a_row_may_say_whose_list_holds_for_a_server() -> None:
    row = PriceRow(model="*", backend="litellm", provider="openai")
    local = {"backend": "127.0.0.1:4000", "backend_name": "litellm"}
    assert Pricer([row]).price(a_request(**local))[:2] == about(0.0035, "genai_prices")
    assert Pricer([row], use_public_lists=False).price(a_request(**local))[1] == "genai_prices"
    assert Pricer([row]).price(a_request(backend="127.0.0.1:4000"))[:2] == (None, None)


def test_without_the_public_lists_only_rows_count() -> None:
    assert Pricer(use_public_lists=False).price(a_request())[:2] == (None, None)


def test_the_model_that_answered_is_tried_before_the_one_that_was_asked_for() -> None:
    rows = [
        PriceRow(model="asked", input_usd_per_mtok=1.0, output_usd_per_mtok=0.0),
        PriceRow(model="answered", input_usd_per_mtok=2.0, output_usd_per_mtok=0.0),
    ]
    both = a_request(model="asked", response_model="answered", prompt_tokens=1_000_000)
    assert Pricer(rows).price(both)[0] == 2.0
    assert Pricer(rows[:1]).price(both)[0] == 1.0
    nobody = a_request(model=None, response_model=None)
    assert Pricer(rows).price(nobody)[:2] == (None, None)


def test_of_several_rows_the_first_that_holds_at_the_time_counts() -> None:
    march = "2026-03-01T00:00:00.000000Z"
    rows = [
        PriceRow(model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=0.0, until=march),
        PriceRow(model="m", input_usd_per_mtok=2.0, output_usd_per_mtok=0.0, from_=march),
    ]
    asked = {"model": "m", "response_model": "m", "prompt_tokens": 1_000_000, "backend": "10.0.0.1:1"}
    before, after = (a_request(**asked) for _ in range(2))
    before.timestamp, after.timestamp = "2026-02-28T23:59:59.999999Z", "2026-03-01T00:00:00.000000Z"
    own = Pricer(rows)
    assert [own.price(record)[0] for record in (before, after)] == [1.0, 2.0]


def test_after_the_last_row_the_public_list_holds_again() -> None:
    row = PriceRow(model="*", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0, until="2020-01-01T00:00:00.000000Z")
    assert Pricer([row]).price(a_request())[1] == "genai_prices"


def test_the_tier_that_the_answer_names_is_priced_as_such() -> None:
    late = "2026-11-01T00:00:00.000000Z"
    plain, fast = a_request(service_tier="default"), a_request(service_tier="priority")
    plain.timestamp = fast.timestamp = late
    own = Pricer()
    cheap, dear = own.price(plain)[0], own.price(fast)[0]
    assert cheap is not None
    assert dear is not None
    assert dear > cheap


@pytest.mark.parametrize("facts", [{"prompt_tokens": None}, {"completion_tokens": None}, {"cached_tokens": 1001}])
def test_without_whole_counts_there_is_no_cost(facts: dict[str, Any]) -> None:
    assert Pricer([ROW]).price(a_request(**facts))[:2] == (None, None)


def test_embeddings_have_no_output_to_count() -> None:
    asked = {"dialect": "openai_embeddings", "model": "text-embedding-3-small", "completion_tokens": None}
    assert Pricer().price(a_request(**asked, response_model=None, prompt_tokens=1_000_000))[:2] == about(
        0.02, "genai_prices"
    )


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60))
def test_forgetting_models_changes_no_price(names: list[str]) -> None:
    rows = [PriceRow(model=name, input_usd_per_mtok=float(ord(name)), output_usd_per_mtok=0.0) for name in "abcde"]
    small, fresh = Pricer(rows, use_public_lists=False), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pricer, "_MOST_KNOWN", 2)
        for name in names:
            record = a_request(model=name, response_model=name)
            fresh.append(small.price(record) == Pricer(rows, use_public_lists=False).price(record))
    assert all(fresh)


def test_it_says_by_which_lists_it_prices() -> None:
    assert Pricer(use_public_lists=False).words() == "no price list"
    assert Pricer([ROW]).words().startswith("1 row of the price table, genai-prices ")


CACHED: dict[str, Any] = {
    "backend": "127.0.0.1:1", "model": "m", "response_model": "m", "prompt_tokens": 1000, "completion_tokens": 0,
}  # fmt: skip
CACHING = PriceRow(
    model="*", input_usd_per_mtok=10.0, output_usd_per_mtok=0.0, cached_usd_per_mtok=1.0,
    cache_write_usd_per_mtok=12.5, cache_write_1h_usd_per_mtok=20.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "saved"),
    [
        ({"cached_tokens": 600}, 600 * 9e-6),
        ({"cached_tokens": 0}, 0.0),
        ({"cached_tokens": 0, "cache_write_tokens": 400}, -400 * 2.5e-6),  # writing costs more
        ({"cached_tokens": 600, "cache_write_tokens": 400}, 600 * 9e-6 - 400 * 2.5e-6),
        ({"cached_tokens": 0, "cache_write_tokens": 400, "cache_write_1h_tokens": 400}, -400 * 10e-6),
        ({}, None),  # the server says nothing of a cache
        ({"cached_tokens": 1001}, None),  # more than there is
        ({"cached_tokens": 600, "prompt_tokens": None}, None),
    ],
)
def test_savings_are_what_the_input_would_have_cost_minus_what_it_cost(
    facts: dict[str, Any], saved: float | None
) -> None:
    found = Pricer([CACHING], use_public_lists=False).price(a_request(**{**CACHED, **facts}))[2]
    assert found == (None if saved is None else pytest.approx(saved))


def test_where_the_server_says_its_cost_savings_are_those_of_the_lists() -> None:
    record = a_request(**CACHED, cached_tokens=600, upstream_cost_usd=0.5)
    *cost, saved = Pricer([CACHING], use_public_lists=False).price(record)
    assert cost == [0.5, "upstream"]
    assert saved == pytest.approx(600 * 9e-6)
    assert Pricer(use_public_lists=False).price(record) == (0.5, "upstream", None)


BOX = PriceRow(model="*", backend="box", usd_per_hour=0.36, power_watts=500.0, usd_per_kwh=0.3)


def test_a_machine_s_hour_is_shared_out_by_busy_time() -> None:
    local = a_request(**{**CACHED, "backend_name": "box"})
    cost, *rest = Pricer([BOX]).price(local, 10_000.0)
    assert cost == pytest.approx(10 / 3600 * 0.51)
    assert rest == ["own_hardware", None]
    assert Pricer([BOX]).price(local, None) == (None, None, None)  # how long it was busy is unknown
    assert Pricer([BOX]).price(a_request(**CACHED), 10_000.0) == (None, None, None)  # another server


def test_a_machine_s_hour_counts_where_nothing_else_does() -> None:
    tokens = PriceRow(model="*", input_usd_per_mtok=1000.0, output_usd_per_mtok=1.0)
    local = {**CACHED, "backend_name": "box"}
    assert Pricer([BOX, tokens]).price(a_request(**local), 1.0)[:2] == (1.0, "price_table")
    assert Pricer([BOX]).price(a_request(**local, upstream_cost_usd=0.5), 1.0)[:2] == (0.5, "upstream")
    without_tokens = a_request(**{**local, "prompt_tokens": None})
    cost, source, _ = Pricer([BOX, tokens]).price(without_tokens, 3_600_000.0)
    assert cost == pytest.approx(0.51)
    assert source == "own_hardware"


def test_a_machine_s_hour_holds_from_one_time_to_another() -> None:
    row = PriceRow(model="*", usd_per_hour=1.0, until="2025-01-01T00:00:00.000000Z")
    assert Pricer([row]).price(a_request(**CACHED), 1.0) == (None, None, None)


def test_an_answer_that_was_counted_has_no_share_in_the_machine() -> None:
    assert Pricer([BOX]).price(a_request(**CACHED, backend_name="box", usage_source="repeated"), 9.0) == (None,) * 3
