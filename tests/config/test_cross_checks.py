"""Rules between settings."""

import pytest
from pydantic import ValidationError

from llm_metrics_proxy.config.cross_checks import CROSS_CHECKS
from llm_metrics_proxy.config.settings import Settings


@pytest.mark.parametrize(
    ("values", "faulty"),
    [
        ({}, None),
        ({"metrics_host": "0.0.0.0"}, "metrics_host"),
        ({"metrics_host": "::"}, "metrics_host"),
        ({"metrics_host": "example.org"}, "metrics_host"),
        ({"metrics_host": "0.0.0.0", "metrics_token": "a-long-token"}, None),
        ({"metrics_host": "0.0.0.0", "insecure": True}, None),
        ({"metrics_host": "127.0.0.9"}, None),
        ({"metrics_host": "[::1]"}, None),
        ({"metrics_host": "localhost"}, None),
        ({"port": 8002}, "metrics_port"),
        ({"port": 0, "metrics_port": 0}, None),
        ({"port": 8002, "host": "127.0.0.2"}, None),
        ({"port": 8002, "host": "0.0.0.0"}, "metrics_port"),
        ({"journal_max_bytes": "1MiB"}, "journal_max_bytes"),
        ({"journal_max_bytes": "1MiB", "journal_segment_bytes": "1MiB"}, None),
    ],
)
def test_contradictions_between_settings_are_refused(values: dict[str, object], faulty: str | None) -> None:
    if faulty is None:
        Settings(**values)  # type: ignore[arg-type]
        return
    with pytest.raises(ValidationError) as caught:
        Settings(**values)  # type: ignore[arg-type]
    assert list(caught.value.errors()[0]["ctx"]["faults"]) == [faulty]


def test_cross_checks_name_settings_that_exist() -> None:
    for check in CROSS_CHECKS:
        assert {check.setting, *check.fields} <= Settings.model_fields.keys()
