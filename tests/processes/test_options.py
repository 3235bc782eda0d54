"""From settings to the options of a process."""

from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.config.prices import PriceTable
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.watch import AlertTable, SloTable
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes import options
from llm_metrics_proxy.telemetry import OtlpOptions
from llm_metrics_proxy.watch.rules import About, SloRule


def test_telemetry_goes_nowhere_unless_an_endpoint_is_set(tmp_path: Path) -> None:
    assert options.otlp_options(Settings(data_dir=tmp_path)) is None

    def sent(**values: Any) -> OtlpOptions | None:
        return options.otlp_options(Settings(data_dir=tmp_path, otlp_endpoint="http://collector:4318/", **values))

    assert sent(otlp_traces=False, otlp_metrics=False) is None
    told = sent(otlp_headers="Authorization=Bearer a=b, x-team = red")
    assert told is not None
    assert (told.endpoint, told.traces, told.metrics) == ("http://collector:4318", True, True)
    assert told.headers == {"authorization": "Bearer a=b", "x-team": "red"}


@pytest.mark.parametrize("headers", ["no pair", "a=", "=b", "a b=c", "a=b\nc=d", "a=b,,c=d"])
def test_headers_that_are_none_are_refused_and_never_shown(headers: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"otlp_headers": headers}, {})
    assert refused.value.problems == [
        "otlp_headers = *** (flag --otlp-headers): must be name=value, several separated by commas"
    ]


def test_objectives_and_alerts_are_told_as_rules() -> None:
    slo = SloTable(name="s", objective=0.9, require="response_time_ms < 5", streaming=True)
    assert options.slo_rules([slo]) == [
        SloRule(name="s", objective=0.9, require="response_time_ms<5", window_s=2_592_000, about=About(streaming=True))
    ]
    values: dict[str, Any] = {"window": "10m", "for_duration": "1m", "resolve_duration": "2m", "tag": "a=b"}
    alert = AlertTable(name="a", metric="error_rate", threshold=0.5, webhook="http://h/", **values)
    (rule,) = options.alert_rules([alert])
    assert (rule.window_s, rule.for_s, rule.resolve_s, rule.about) == (600, 60, 120, About(tag="a=b"))
    assert (rule.metric, rule.op, rule.threshold, rule.webhook) == ("error_rate", ">", 0.5, "http://h/")


def test_prices_of_a_provider_that_nobody_knows_are_refused() -> None:
    tables = [PriceTable(model="a", provider="openai"), PriceTable(model="b", provider="opneai")]
    assert [row.provider for row in options.price_rows(tables[:1])] == ["openai"]
    with pytest.raises(SettingsError, match=r"prices\[1\].provider = 'opneai' \(model b\)"):
        options.price_rows(tables)


def test_rules_take_several_values_and_conditions_of_any_column(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(
        '[[slos]]\nname = "a"\nobjective = 0.9\nmodel = "x,y"\nstreaming = true\nwhere = ["response_time_ms>5"]\n'
    )
    (rule,) = options.slo_rules(load({}, {}, file).settings.slos)
    assert (rule.about.streaming, rule.about.model) == (True, None)
    assert [str(one) for one in rule.about.where] == ["model=x,y", "response_time_ms>5"]
    file.write_text('[[slos]]\nname = "a"\nobjective = 0.9\nwhere = ["modle=x"]\n')
    with pytest.raises(SettingsError, match="did you mean model"):
        load({}, {}, file)
