from llm_metrics_proxy.wire.usage_reports import UsageReports


def test_reports_are_kept_by_where_they_stood() -> None:
    reports = UsageReports()
    reports.take("message.usage", {"input_tokens": 7, "output_tokens": 1})
    reports.take("usage", {"output_tokens": 30})
    assert reports.merged == {
        "message.usage": {"input_tokens": 7, "output_tokens": 1},
        "usage": {"output_tokens": 30},
    }


def test_a_later_report_replaces_what_it_names_and_nothing_else() -> None:
    reports = UsageReports()
    reports.take("usage", {"prompt_tokens": 9, "details": {"cached_tokens": 4, "audio_tokens": 0}})
    reports.take("usage", {"completion_tokens": 3, "details": {"audio_tokens": 2}})
    reports.take("usage", {"completion_tokens": 8})
    assert reports.merged["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 8,
        "details": {"cached_tokens": 4, "audio_tokens": 2},
    }


def test_a_zero_or_null_never_replaces_more() -> None:
    reports = UsageReports()
    reports.take("usage", {"prompt_tokens": 9, "completion_tokens": 3, "tier": None})
    reports.take("usage", {"prompt_tokens": 0, "completion_tokens": None, "tier": "batch"})
    assert reports.merged["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "tier": "batch"}


def test_what_is_no_object_is_no_report() -> None:
    reports = UsageReports()
    for value in (None, 5, "usage", [1], True):
        reports.take("usage", value)
    assert reports.merged == {}
