"""The tables ``[[prices]]``: what may stand there, and the exact line for each thing that may not."""

from pathlib import Path

import pytest

from llm_metrics_proxy.config.faults import shown
from llm_metrics_proxy.config.prices import PriceTable
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.errors import SettingsError

A = '[[prices]]\nmodel = "a"\ninput_usd_per_mtok = 1\n'
PRICE = "must be a number from 0 to 1000000"


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[[prices]]\ninput_usd_per_mtok = 1", "prices[0].model (FILE line 1): is missing; it must be a pattern"),
        ("[[prices]]\nmodel = '[a'\nprovider = 'openai'", "prices[0].model = '[a' (FILE line 2): '[a' has a [ without"),
        ("[[prices]]\nmodel = ' a'\nprovider = 'openai'", "prices[0].model = ' a' (FILE line 2): a pattern is empty"),
        ("[[prices]]\nmodel = 'a'", "prices[0] (FILE line 1): input_usd_per_mtok is missing (0 for what is free)"),
        (A + "provider = 'openai'", "prices[0] (FILE line 1): provider takes the place of prices"),
        (A + "\n" + A + "output_usd_per_mtok = -1", f"prices[1].output_usd_per_mtok = -1 (FILE line 8): {PRICE}"),
        (A + "cached_usd_per_mtok = true", f"prices[0].cached_usd_per_mtok = true (FILE line 4): {PRICE}"),
        (A + "cached_usd_per_mtok = inf", f"prices[0].cached_usd_per_mtok = inf (FILE line 4): {PRICE}"),
        (
            A + "cached_usd_per_mtk = 1",
            "prices[0].cached_usd_per_mtk (FILE line 4): is not a key of a price; did you",
        ),
        (A + "valid_from = 'soon'", "prices[0].valid_from = 'soon' (FILE line 4): must be a date, or a time with its"),
        (A + "valid_from = 2026-03-01T12:00:00", "prices[0].valid_from = datetime.datetime(2026, 3, 1, 12, 0) (FILE"),
        (
            A + "valid_from = 2026-03-02\nvalid_until = 2026-03-01",
            "prices[0] (FILE line 1): valid_until must be after valid_from",
        ),
        (
            '[[prices]]\nmodel = "*"',
            "prices[0] (FILE line 1): input_usd_per_mtok is missing (0 for what is free), or in its",
        ),
        (A + "usd_per_hour = 1", "prices[0] (FILE line 1): a machine's hour takes the place of prices and provider"),
        (
            '[[prices]]\nmodel = "*"\npower_watts = 300',
            "prices[0] (FILE line 1): power_watts and usd_per_kwh need each",
        ),
        ('[[prices]]\nmodel = "*"\nusd_per_hour = -1', "prices[0].usd_per_hour = -1 (FILE line 3): must be a number"),
        ("prices = 3", "prices = a number (FILE line 1, key prices): must be tables with at least model"),
    ],
)
def test_each_mistake_is_told_with_its_line(tmp_path: Path, toml: str, problem: str) -> None:
    file = tmp_path / "f.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError) as refused:
        load({}, {}, file)
    (line,) = refused.value.problems
    assert line.replace(str(file), "FILE").startswith(problem)


def test_times_are_kept_as_records_have_them() -> None:
    noon = "2026-03-01T12:00:00+02:00"
    table = PriceTable(model="a", input_usd_per_mtok=1, valid_from="2026-03-01", valid_until=noon)
    assert (table.valid_from, table.valid_until) == ("2026-03-01T00:00:00.000000Z", "2026-03-01T10:00:00.000000Z")


def test_prices_come_in_the_order_of_the_file_and_are_shown_by_their_models(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(A + A.replace('"a"', '"b*"') + "valid_from = 2026-03-01\n")
    prices = load({}, {}, file).settings.prices
    assert [price.model for price in prices] == ["a", "b*"]
    assert prices[1].valid_from == "2026-03-01T00:00:00.000000Z"
    assert shown(rows()["prices"], prices) == "a, b*"
