"""What stands in contrib/ is what the sources give. That it works is shown in tests/real_server/test_prometheus.py."""

import re

from tools import make_dashboard

from llm_metrics_proxy.api.prometheus import Exposition
from llm_metrics_proxy.counters import CounterBook
from tests.api.test_prometheus import health


def test_the_dashboard_is_what_its_table_gives() -> None:
    found = make_dashboard.FILE.read_text(encoding="utf-8")
    assert found == make_dashboard.text(), "run: python -m tools.make_dashboard"


def test_dashboard_and_rules_name_only_metrics_that_there_are() -> None:
    body, _ = Exposition(CounterBook()).render(health(), "")
    there = set(re.findall(r"^# TYPE (\S+)", body.decode(), re.M))
    for file in (make_dashboard.FILE, make_dashboard.FILE.with_name("prometheus-alerts.yml")):
        named = set(re.findall(r"llm_proxy_\w+", file.read_text(encoding="utf-8")))
        assert named, file.name
        assert {name.removesuffix("_bucket") for name in named} <= there, file.name
