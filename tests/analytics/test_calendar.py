from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.calendar import (
    BUCKETS,
    MAX_BUCKETS,
    TimeBucket,
    buckets,
    first_moment,
    period_before,
    seconds_by_hour,
    segments,
    shortest_bucket,
)
from llm_metrics_proxy.errors import QueryError
from tests.examples import examples

BERLIN = ZoneInfo("Europe/Berlin")
ST_JOHNS = ZoneInfo("America/St_Johns")
APIA = ZoneInfo("Pacific/Apia")
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe")
moments = st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(found: tuple[TimeBucket, ...]) -> list[float]:
    return [bucket.seconds / 3600 for bucket in found]


def test_days_have_23_and_25_hours_where_clocks_change() -> None:
    spring = buckets(utc("2026-03-27T23:00"), utc("2026-03-30T22:00"), "day", BERLIN)
    assert [bucket.start for bucket in spring] == [
        utc("2026-03-27T23:00"),
        utc("2026-03-28T23:00"),
        utc("2026-03-29T22:00"),
    ]
    assert hours(spring) == [24, 23, 24]
    autumn = buckets(utc("2026-10-23T22:00"), utc("2026-10-26T23:00"), "day", BERLIN)
    assert hours(autumn) == [24, 25, 24]


def test_an_hour_that_clocks_show_twice_is_two_buckets() -> None:
    found = buckets(utc("2026-10-25T00:00"), utc("2026-10-25T03:00"), "hour", BERLIN)
    assert [bucket.start.astimezone(BERLIN).hour for bucket in found] == [2, 2, 3]
    assert hours(found) == [1, 1, 1]


def test_hours_begin_where_the_zone_says() -> None:
    kathmandu = buckets(utc("2026-01-01T00:00"), utc("2026-01-01T02:00"), "hour", ZoneInfo("Asia/Kathmandu"))
    assert [bucket.start.minute for bucket in kathmandu] == [15, 15, 15]
    assert hours(kathmandu) == [0.25, 1, 0.75]


def test_a_day_that_a_zone_left_out_has_no_bucket() -> None:
    found = buckets(utc("2011-12-29T10:00"), utc("2011-12-31T10:00"), "day", APIA)
    assert [bucket.start.astimezone(APIA).day for bucket in found] == [29, 31]
    assert hours(found) == [24, 24]


def test_a_date_that_began_twice_is_one_bucket_of_all_its_times() -> None:
    before, day = buckets(utc("2010-11-06T02:30"), utc("2010-11-08T03:30"), "day", ST_JOHNS)  # 00:01 became 23:01
    assert day.start == utc("2010-11-07T02:30")
    assert [span[0] for span in day.spans] == [utc("2010-11-07T02:30"), utc("2010-11-07T03:30")]
    assert day.seconds == 24 * 3600 + 60
    assert before.seconds == 25 * 3600 - 60


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    weeks = buckets(utc("2026-02-26T12:00"), utc("2026-03-10T12:00"), "week", BERLIN)
    assert [bucket.start for bucket in weeks] == [
        utc("2026-02-22T23:00"),
        utc("2026-03-01T23:00"),
        utc("2026-03-08T23:00"),
    ]
    months = buckets(utc("2026-03-15T00:00"), utc("2026-05-01T00:00"), "month", BERLIN)
    assert [bucket.start for bucket in months] == [
        utc("2026-02-28T23:00"),
        utc("2026-03-31T22:00"),
        utc("2026-04-30T22:00"),
    ]
    assert months[0].spans[0][0] == utc("2026-03-15T00:00")  # only what lies in the range counts


@examples(60)
@given(moments, st.timedeltas(timedelta(), timedelta(days=3)), st.sampled_from(ZONES), st.sampled_from([*BUCKETS]))
def test_buckets_cover_the_range_once_and_every_moment_has_the_right_one(
    start: datetime, length: timedelta, zone: str, kind: str
) -> None:
    if kind == "minute":
        length /= 4
    end = start + length
    found = buckets(start, end, kind, ZoneInfo(zone))
    spans = sorted(span for bucket in found for span in bucket.spans)
    assert [span[0] for span in spans] == [*([start] if spans else []), *(span[1] for span in spans[:-1])]
    assert not spans or spans[-1][1] == end
    assert sum(bucket.seconds for bucket in found) == pytest.approx(length.total_seconds())
    assert [bucket.start for bucket in found] == sorted({bucket.start for bucket in found})
    for bucket in found:
        for begin, until in bucket.spans:
            first, last = (moment.astimezone(ZoneInfo(zone)) for moment in (begin, until - timedelta(microseconds=1)))
            if BUCKETS[kind].elapsed:
                assert first.utcoffset() == last.utcoffset()
                assert last.replace(tzinfo=None) - first.replace(tzinfo=None) < BUCKETS[kind].about
            label = BUCKETS[kind].floor(bucket.start.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
            assert BUCKETS[kind].floor(first.replace(tzinfo=None)) == label
            assert BUCKETS[kind].floor(last.replace(tzinfo=None)) == label


@examples(40)
@given(moments, st.timedeltas(timedelta(), timedelta(days=900)), st.sampled_from(ZONES))
def test_segments_have_the_offset_that_the_zone_has(start: datetime, length: timedelta, zone: str) -> None:
    found = segments(start, start + length, ZoneInfo(zone))
    for segment in found:
        for moment in (
            segment.start,
            segment.start + (segment.end - segment.start) / 2,
            segment.end - timedelta(microseconds=1),
        ):
            assert moment.astimezone(ZoneInfo(zone)).utcoffset() == segment.offset
    assert sum((segment.end - segment.start for segment in found), timedelta()) == length


def test_too_many_buckets_are_refused_with_advice() -> None:
    with pytest.raises(QueryError, match=rf"more than {MAX_BUCKETS} buckets .*bucket=5m") as error:
        buckets(utc("2026-01-01T00:00"), utc("2026-01-03T00:00"), "minute", BERLIN)
    assert error.value.parameter == "bucket"
    with pytest.raises(QueryError, match=r"ask for a shorter range$"):
        buckets(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), "month", BERLIN)


def test_the_largest_number_of_buckets_is_kept_to() -> None:
    start = utc("2026-01-01T00:00:30")
    assert len(buckets(start, start + timedelta(minutes=MAX_BUCKETS - 2), "minute", BERLIN)) == MAX_BUCKETS - 1


def test_ends_of_the_calendar_are_no_trouble() -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    for zone in ZONES:
        assert buckets(first, first + timedelta(days=2), "week", ZoneInfo(zone)) == ()
        assert buckets(last - timedelta(days=2), last, "month", ZoneInfo(zone)) == ()
        assert len(segments(first, last, ZoneInfo(zone))) >= 1


def test_a_bucket_is_chosen_that_suits_the_range() -> None:
    start = utc("2026-01-01T00:00")
    chosen = {hours: shortest_bucket(start, start + timedelta(hours=hours)) for hours in (0, 1, 6, 24, 24 * 7, 24 * 90)}
    assert chosen == {0: "minute", 1: "minute", 6: "5m", 24: "15m", 24 * 7: "hour", 24 * 90: "day"}
    assert shortest_bucket(start, start + timedelta(days=365 * 50)) == "month"


@pytest.mark.parametrize(
    ("start", "end", "before"),
    [
        ("2026-03-01T05:00", "2026-03-01T06:30", "2026-03-01T03:30"),  # as many seconds
        ("2026-03-29T23:00", "2026-03-30T22:00", "2026-03-29T00:00"),  # not a whole day there: 23 hours
        ("2026-03-28T23:00", "2026-03-29T22:00", "2026-03-27T23:00"),  # a day of 23 hours, and one of 24 before
        ("2026-03-29T22:00", "2026-04-05T22:00", "2026-03-22T23:00"),  # a week
        ("2026-02-28T23:00", "2026-03-31T22:00", "2026-01-31T23:00"),  # March, and February before
        ("2025-12-31T23:00", "2026-12-31T23:00", "2024-12-31T23:00"),  # a year
        ("2026-02-28T23:00", "2026-05-31T22:00", "2025-11-30T23:00"),  # three months
    ],
)
def test_the_period_before_is_of_the_same_kind(start: str, end: str, before: str) -> None:
    assert period_before(utc(start), utc(end), BERLIN) == utc(before)


def test_a_date_begins_later_where_clocks_skip_midnight() -> None:
    beirut = ZoneInfo("Asia/Beirut")  # 00:00 became 01:00
    assert first_moment(datetime(2022, 3, 27), beirut).astimezone(beirut).hour == 1
    assert first_moment(datetime(2011, 12, 30), APIA) == first_moment(datetime(2011, 12, 31), APIA)


@examples(40)
@given(moments, st.integers(0, 60 * 24 * 20), st.sampled_from(ZONES))
def test_seconds_by_hour_are_those_that_a_clock_shows(start: datetime, minutes: int, zone: str) -> None:
    start = start.replace(second=0, microsecond=0)
    end = start + timedelta(minutes=minutes)
    found = seconds_by_hour(start, end, segments(start, end, ZoneInfo(zone)))
    counted: dict[tuple[int, int], float] = {}
    for minute in range(minutes):
        local = (start + timedelta(minutes=minute)).astimezone(ZoneInfo(zone))
        if local.second:  # local mean time
            return
        counted[local.hour, local.isoweekday()] = counted.get((local.hour, local.isoweekday()), 0) + 60
    assert found == counted
