"""The daily hours in which a migration may work."""

import os
import time as clock
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.migration.window import DailyWindow

NIGHT = DailyWindow(time(22), time(6))
DAY = DailyWindow(time(9, 30), time(17))

clock_times = st.times().map(lambda at: at.replace(second=0, microsecond=0))


@pytest.fixture(autouse=True, scope="module")
def central_europe() -> Iterator[None]:
    """This system's clock jumps from 02:00 to 03:00 on 29 March 2026, and from 03:00 to 02:00 on 25 October."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    clock.tzset()
    yield
    del os.environ["TZ"]
    if before is not None:
        os.environ["TZ"] = before
    clock.tzset()


@pytest.mark.parametrize(("text", "window"), [("22:00-06:00", NIGHT), ("09:30-17:00", DAY)])
def test_a_window_is_read_and_shown_alike(text: str, window: DailyWindow) -> None:
    assert DailyWindow.parse(text) == window
    assert str(window) == text


@pytest.mark.parametrize(
    "text", ["", "22:00", "22-06", "24:00-06:00", "22:60-06:00", "06:00-06:00", "a-b", "1:00-2:0x"]
)
def test_what_is_no_window_is_refused_by_the_settings_and_by_the_window(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- the sentence that people read is the settings table's
        DailyWindow.parse(text)
    with pytest.raises(ValidationError):
        Settings(migration_window=text)


@given(clock_times, clock_times)
def test_what_the_settings_accept_is_a_window(opens: time, closes: time) -> None:
    text = f"{opens:%H:%M}-{closes:%H:%M}"
    if opens == closes:
        with pytest.raises(ValidationError):
            Settings(migration_window=text)
    else:
        assert str(DailyWindow.parse(str(Settings(migration_window=f" {text} ").migration_window))) == text


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        (DAY, [time(9, 30), time(16, 59, 59)], [time(9, 29, 59), time(17), time(0)]),
        (NIGHT, [time(22), time(23, 59, 59), time(0), time(5, 59, 59)], [time(6), time(21, 59, 59), time(12)]),
        (DailyWindow(time(18), time(0)), [time(18), time(23, 59)], [time(0), time(17, 59)]),
    ],
)
def test_it_is_open_from_its_first_minute_up_to_its_last(
    window: DailyWindow, inside: list[time], outside: list[time]
) -> None:
    day = datetime(2026, 5, 1)
    assert all(window.contains(at) and window.contains(datetime.combine(day, at)) for at in inside)
    assert not any(window.contains(at) or window.contains(datetime.combine(day, at)) for at in outside)


@given(clock_times, clock_times, st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)), st.booleans())
def test_after_that_many_seconds_it_opens_and_not_before(
    opens: time, closes: time, start: datetime, has_zone: bool
) -> None:
    if opens == closes:
        return
    window, zone = DailyWindow(opens, closes), UTC if has_zone else None
    unix_s = start.timestamp()
    now = datetime.fromtimestamp(unix_s, zone)
    wait_s = window.seconds_until_open(now)
    assert 0 <= wait_s <= timedelta(days=2).total_seconds()
    assert window.contains(datetime.fromtimestamp(unix_s + wait_s, zone))
    if wait_s:
        assert not window.contains(now)
        assert not window.contains(datetime.fromtimestamp(unix_s + wait_s - 0.001, zone))


def test_it_waits_in_real_seconds_where_the_clock_jumps() -> None:
    evening = datetime(2026, 3, 28, 21)
    assert (
        DailyWindow(time(4), time(5)).seconds_until_open(evening) == 6 * 3600
    )  # seven hours on the clock, one is skipped
    # 02:30 does not exist that night; the clock goes from 02:00 to 03:00, which is inside.
    assert DailyWindow(time(2, 30), time(5)).seconds_until_open(evening) == 5 * 3600
    # A window inside the skipped hour has to wait for the next night.
    assert DailyWindow(time(2, 10), time(2, 50)).seconds_until_open(evening) == (24 + 4) * 3600 + 600
    autumn = datetime(2026, 10, 24, 21)
    assert DailyWindow(time(4), time(5)).seconds_until_open(autumn) == 8 * 3600
    # An hour that comes twice is open twice.
    assert DailyWindow(time(2, 10), time(2, 20)).seconds_until_open(datetime(2026, 10, 25, 2, 30)) == 40 * 60
