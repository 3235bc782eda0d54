"""The tables ``[[slos]]`` and ``[[alerts]]``: what may stand there, and the exact line for each thing that may not."""

from pathlib import Path

import pytest

from llm_metrics_proxy.analytics.slos import COMPLETED
from llm_metrics_proxy.config.faults import shown
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.config.watch import MOST
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.watch import rules

SLO = '[[slos]]\nname = "a"\nobjective = 0.99\n'
ALERT = '[[alerts]]\nname = "a"\nmetric = "error_rate"\nthreshold = 0.1\n'


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[[slos]]\nname = 'a'", "slos[0].objective (FILE line 1): is missing; it must be a number from 0.5 to"),
        ("[[slos]]\nname = 'A'\nobjective = 0.9", "slos[0].name = 'A' (FILE line 2): must be up to 63 of"),
        (SLO + "objectiv = 1", "slos[0].objectiv (FILE line 4): is not a key of an SLO; did you mean objective?"),
        ("[[slos]]\nname = 'a'\nobjective = 1", "slos[0].objective = 1 (FILE line 3): must be a number from 0.5 to"),
        (SLO + "require = 'fast'", "slos[0].require = 'fast' (FILE line 4): 'fast' is not an SLO: give one such as"),
        (SLO + "require = 'ttft<5'", "slos[0].require = 'ttft<5' (FILE line 4): there is no timing or rate"),
        (SLO + "window = 30", "slos[0].window = 30 (FILE line 4): must be a duration such as 30s, 5m, 1h or 30d"),
        (SLO + "window = '0s'", "slos[0].window = '0s' (FILE line 4): must be a duration such as"),
        (SLO + "tag = 'red'", "slos[0] (FILE line 1): tag = 'red': 'red' is not a tag: give k=v, or several separated"),
        (SLO + SLO, "slos = a, a (FILE line 1, key slos): two are named 'a': a name is for one"),
        (SLO.replace('"a"', '"a{n}"'), f"slos = many (FILE line 1, key slos): there are {MOST + 1}; at most {MOST}"),
        ("[[alerts]]\nname = 'a'\nthreshold = 1", "alerts[0].metric (FILE line 1): is missing; it must be a metric of"),
        (ALERT + "op = '='", "alerts[0].op = '=' (FILE line 5): must be >, >=, < or <="),
        (ALERT.replace("0.1", "true"), "alerts[0].threshold = true (FILE line 4): must be a number from"),
        (ALERT.replace("error_rate", "eror_rate"), "alerts[0].metric = 'eror_rate' (FILE line 3): there is no metric"),
        (ALERT.replace("error_rate", "response_time_ms"), "alerts[0].metric = 'response_time_ms' (FILE line 3):"),
        (ALERT + "for_duration = '8d'", "alerts[0].for_duration = '8d' (FILE line 5): must be a duration such as"),
        (ALERT + "min_requests = -1", "alerts[0].min_requests = -1 (FILE line 5): must be a whole number from 0 to"),
        (ALERT.replace("error_rate", "goodput"), "alerts[0] (FILE line 1): metric goodput and require belong together"),
        (ALERT + "require = 'response_time_ms<5'", "alerts[0] (FILE line 1): metric goodput and require belong"),
        (
            ALERT.replace("error_rate", "goodput") + "require = 'completed'",
            "alerts[0] (FILE line 1): for what is completed, take the metric success_rate",
        ),
    ],
)
def test_each_mistake_is_told_with_its_line(tmp_path: Path, toml: str, problem: str) -> None:
    file = tmp_path / "f.toml"
    file.write_text("".join(toml.format(n=n) for n in range(MOST + 1)) if "{n}" in toml else toml)
    with pytest.raises(SettingsError) as refused:
        load({}, {}, file)
    (line,) = refused.value.problems
    if "{n}" in toml:
        line = f"slos = many ({line.partition(' (')[2]}"
    assert line.replace(str(file), "FILE").startswith(problem)


@pytest.mark.parametrize(
    "webhook",
    ["h/secret", "ftp://h/secret", "http://me:secret@h/", "http://h/#secret", "http:///secret", "http://h/sec ret"],
)
def test_an_address_that_is_none_is_refused_and_not_shown(tmp_path: Path, webhook: str) -> None:
    file = tmp_path / "f.toml"
    file.write_text(f"{ALERT}webhook = '{webhook}'\n")
    with pytest.raises(SettingsError) as refused:
        load({}, {}, file)
    (line,) = refused.value.problems
    assert "alerts[0].webhook = *** (" in line
    assert "secret" not in line
    assert "must be an http:// or https:// URL" in line


def test_good_tables_are_read_with_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(
        f"{SLO}require = 'time_to_first_token_ms < 500'\nwindow = '7d'\n{ALERT}webhook = 'http://h/secret'\n"
    )
    settings = load({}, {}, file).settings
    (slo,), (alert,) = settings.slos, settings.alerts
    assert (slo.require, slo.window, slo.streaming) == ("time_to_first_token_ms<500", 604_800, None)
    assert (alert.op, alert.window, alert.min_requests) == (">", 300, 1)
    assert (alert.for_duration, alert.resolve_duration) == (0, 0)
    assert shown(rows()["alerts"], settings.alerts) == "a"


def test_the_word_for_what_completed_is_that_of_the_rules() -> None:
    assert rules.SloRule(name="a", objective=0.9, window_s=60).require == COMPLETED
