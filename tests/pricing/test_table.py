"""The user's own rows."""

import pytest

from llm_metrics_proxy.pricing.table import PriceRow


@pytest.mark.parametrize(
    ("model", "backend", "fits"),
    [
        ("gpt-4o*", None, True),
        ("gpt-4o", None, False),
        ("*", "azure", True),
        ("*", "az*", True),
        ("*", "my.host:443", True),
        ("*", "other", False),
        ("GPT-4O*", None, False),
    ],
)
def test_a_row_is_about_models_and_servers(model: str, backend: str | None, fits: bool) -> None:
    row = PriceRow(model=model, backend=backend, input_usd_per_mtok=1.0)
    assert row.fits("gpt-4o-mini", "azure", "my.host:443") is fits


def test_a_server_without_a_name_is_known_by_its_address_only() -> None:
    row = PriceRow(model="*", backend="10.*", input_usd_per_mtok=1.0)
    assert row.fits("m", None, "10.0.0.5:8000")
    assert not row.fits("m", None, None)


def test_cached_and_written_input_cost_as_other_input_unless_the_row_says_otherwise() -> None:
    (level,) = PriceRow(model="*", input_usd_per_mtok=2.0, output_usd_per_mtok=4.0).rates()
    assert (level.cached, level.written, level.reasoning) == (2.0, 2.0, 4.0)
    (level,) = PriceRow(
        model="*", input_usd_per_mtok=2.0, cached_usd_per_mtok=0.0, cache_write_usd_per_mtok=3.0
    ).rates()
    assert (level.cached, level.written, level.output) == (0.0, 3.0, None)
