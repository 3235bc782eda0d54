"""The public lists as tariffs of ours, beside genai-prices' own calculation over every model that it bundles."""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from genai_prices import Usage, data_snapshot
from genai_prices.types import ModelInfo, Provider

from llm_metrics_proxy.pricing import public
from llm_metrics_proxy.pricing.rates import Tokens, cost_usd

# What records know of a request: the lists' prices for anything else cannot be applied by anybody.
KNOWN = {
    "input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok", "output_reasoning_mtok", "requests_kcount",
    "cache_write_1h_mtok",
}  # fmt: skip
TIMES = [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=37 * step, hours=5 * step % 24) for step in range(40)]
SHAPES = [
    Tokens(1000, 100), Tokens(90_000, 5_000, 40_000), Tokens(300_000, 10, 1_000, 2_000, 7), Tokens(0, 50),
    Tokens(300_000, 10, 1_000, 2_000, 7, 1_500),
]  # fmt: skip


def models() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models:
            # By its id a model need not be found: names are matched by patterns, and an earlier one may take it.
            if provider.find_model(model.id, all_providers=data_snapshot.get_snapshot().providers) is model:
                yield provider, model


def by_the_library(provider: Provider, model: ModelInfo, tokens: Tokens, moment: datetime, tier: str | None) -> Decimal:
    usage = Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cached,
        cache_write_tokens=tokens.written,
        cache_write_1h_tokens=tokens.written_for_1h or None,
        output_reasoning_tokens=tokens.reasoning,
    )
    context = told(tier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.calc_price(usage, provider, genai_request_timestamp=moment, price_context=context).total_price


def told(tier: str | None) -> dict[str, str] | None:
    """What the library is told of a tier."""
    return {"service_tier": tier, **({"processing": "batch"} if tier == "batch" else {})} if tier else None


@pytest.mark.grid
def test_every_model_costs_what_the_library_says() -> None:
    random, compared, tiers = Random(1), 0, [None, "default", "priority", "flex", "batch"]
    for provider, model in models():
        for tokens in SHAPES:
            moment, tier = random.choice(TIMES), random.choice(tiers)
            tariff = public.tariff(provider.id, model.id, tier)
            assert tariff is not None, (provider.id, model.id)
            price = model.get_prices(moment, told(tier))
            if not {name for name, value in price.__dict__.items() if value is not None} & KNOWN:
                continue
            ours = cost_usd(tariff.at(moment.isoformat()), tokens)
            if ours is None:  # used tokens that the list has no price for, which the library takes for free
                assert price.input_mtok is None or (price.output_mtok is None and tokens.output)
                continue
            theirs = float(by_the_library(provider, model, tokens, moment, tier))
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-15), (provider.id, model.id, tokens, moment, tier)
            compared += 1
    assert compared > 5_000


def test_a_batch_costs_what_the_list_says_of_batches() -> None:
    """Anthropic's half price, which the list has since its entries of October 2026."""
    tokens, now = Tokens(1000, 500, 100, 50, 10), "2026-11-01T00:00:00+00:00"
    plain, batch = (public.tariff("anthropic", "claude-haiku-4-5", tier) for tier in (None, "batch"))
    assert plain is not None
    assert batch is not None
    whole, half = cost_usd(plain.at(now), tokens), cost_usd(batch.at(now), tokens)
    assert whole is not None
    assert half == pytest.approx(whole / 2)


def test_prices_that_hold_at_some_hours_only_hold_then() -> None:
    moments = [datetime(2025, 6, 1, hour, minute, 1, tzinfo=UTC) for hour in range(24) for minute in (0, 29, 31)]
    seen = 0
    for provider, model in models():
        constraints = [] if not isinstance(model.prices, list) else [each.constraint for each in model.prices]
        if not any(hasattr(each, "start_time") for each in constraints):
            continue
        seen += 1
        tariff = public.tariff(provider.id, model.id, None)
        assert tariff is not None
        for moment in moments:
            ours = cost_usd(tariff.at(moment.isoformat()), SHAPES[0])
            assert ours == pytest.approx(float(by_the_library(provider, model, SHAPES[0], moment, None)), rel=1e-9)
    assert seen > 0


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("openrouter.ai", "openrouter"),
        ("api.groq.com", "groq"),
        ("generativelanguage.googleapis.com", "google"),
        ("mine.openai.azure.com", "azure"),
        ("llm.example.org", None),
        ("127.0.0.1", None),
    ],
)
def test_a_provider_is_known_by_its_host(host: str, provider: str | None) -> None:
    assert public.provider_of_host(host) == provider


def test_a_model_that_is_not_on_the_list_has_no_tariff() -> None:
    assert public.tariff("openai", "no-such-model", None) is None
    assert public.tariff("no-such-provider", "gpt-4o", None) is None


def test_the_lists_say_which_they_are() -> None:
    assert public.lists_version().startswith("genai-prices ")
    assert {"openai", "anthropic", "azure", "openrouter"} <= public.provider_ids()
