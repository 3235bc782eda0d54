from msgspec.structs import replace

from llm_metrics_proxy.reports.sentences import figure, sentences
from tests.analytics.database import Database, a_record
from tests.reports.traffic import HOSTILE, hostile, report_of, two_weeks


def test_the_summary_says_what_happened_with_numbers_and_what_they_rest_on(database: Database) -> None:
    two_weeks(database)
    said = report_of(database).summary
    assert said[0] == "168 requests in 7 days, as many as in the 7 days before."
    assert said[1] == (
        "92.9% of requests succeeded (before: 100%), of 168 whose end is known. The most frequent error was "
        "overloaded (upstream): 12 times."
    )
    half = "Half of the answers were complete within 1.08 sec (before: 1.12 sec) and 95% within 1.16 sec"
    assert said[2].startswith(half)
    assert said[2].endswith("n = 168.")
    assert said[3].startswith("Streams showed their first token within 120 ms at the median (before: 120 ms)")
    assert "n = 156, 92.9% of requests." in said[3]
    assert "Servers reported 1,560 tokens in and 15.8K tokens out, for 92.9% of requests." in said
    assert said[-1] == (
        "The busiest model was llama3.1:8b with 75% of requests and the busiest client was editor with 66.7% of "
        "requests."
    )


def test_what_happened_once_happened_one_time(database: Database) -> None:
    two_weeks(database)
    report = report_of(database)
    (worst, *_) = report.errors.types
    once = replace(report, errors=replace(report.errors, types=[replace(worst, n=1)]))
    assert sentences(once)[1].endswith("overloaded (upstream): 1 time.")


def test_more_and_fewer_are_told_apart(database: Database) -> None:
    two_weeks(database)
    report = report_of(database)
    requests = figure(report, "requests")
    assert requests is not None
    for previous, words in ((100.0, "68% more than in the 7 days before (100)"), (200.0, "16% fewer than")):
        others = [one for one in report.figures if one.name != "requests"]
        changed = replace(report, figures=[replace(requests, previous=previous), *others])
        assert words in sentences(changed)[0]


def test_nothing_is_said_about_what_is_not_known(database: Database) -> None:
    assert report_of(database).summary == ["There were no requests from 1 Mar 2026, 12:00 to 8 Mar 2026, 12:00 (UTC)."]
    database.add(
        a_record(0, is_streaming=False, time_to_first_token_ms=None, prompt_tokens=None, model=None, origin=None)
    )
    said = " ".join(report_of(database).summary)
    assert "1 requests in 7 days; there were none in the 7 days before." in said
    assert "With only 1 this says little." in said
    for word in ("first token", "tokens", "Cost", "busiest"):
        assert word not in said


def test_a_name_of_a_stranger_cannot_turn_a_sentence_around(database: Database) -> None:
    hostile(database)
    said = "\n".join(report_of(database).summary)
    assert "\u202e" not in said
    assert max(HOSTILE, key=len) not in said
    assert all(line.isprintable() or "\u2068" in line for line in said.split("\n"))
