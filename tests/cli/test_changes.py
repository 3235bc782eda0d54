"""The verb changes: sentences for people, the whole answer for programs."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.analytics.database import NOON, Database, a_record
from tests.cli.conftest import Cli

SINCE = NOON.isoformat()
UNTIL = (NOON + timedelta(days=1)).isoformat()


@pytest.fixture
def slower(tmp_path: Path) -> str:
    """A file in which model b takes twice as long since noon."""
    database = Database(tmp_path)
    database.add(
        *(
            a_record(
                (hour - 24) * 3600 + at * 100,
                model="ab"[at % 2],
                response_time_ms=(1000.0 + (at * 37 + hour * 11) % 200) * (2 if at % 2 and hour >= 24 else 1),
            )
            for hour in range(48)
            for at in range(20)
        )
    )
    database.close()
    return str(tmp_path / "metrics.db")


def test_it_says_what_changed_in_a_sentence_and_splits_change_from_mix(cli: Cli, slower: str) -> None:
    out = cli("changes", "--db-path", slower, "--since", SINCE, "--until", UNTIL).out
    assert "Response time of model b: 1.1 sec before, 2.2 sec now (+100.0%; n = 240 and 240)." in out
    assert "by change" in out
    assert "chance of a false alarm" in out


def test_json_is_the_answer_of_the_api(cli: Cli, slower: str) -> None:
    told = cli("changes", "--db-path", slower, "--since", SINCE, "--until", UNTIL, "--json").out
    found = msgspec.json.decode(told)
    assert [one["segment"] for one in found["changes"]] == [{"model": "b"}]
    assert found["false_alarm_rate"] == 0.05


def test_the_last_day_is_compared_where_no_range_is_named(cli: Cli, slower: str) -> None:
    assert "There are no requests to compare." in cli("changes", "--db-path", slower).out


def test_a_zone_that_is_none_is_refused(cli: Cli, slower: str) -> None:
    asked = cli("changes", "--db-path", slower, "--timezone", "Mars/Olympus")
    assert asked.code == 2
    assert "IANA" in asked.err
