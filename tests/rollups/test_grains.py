from llm_metrics_proxy.rollups.grains import DAY, GRAINS, LEVELS, NO_TIME, QUARTER_S, key_names
from llm_metrics_proxy.rollups.values import ALL


def test_numbers_are_stored_and_so_never_change() -> None:
    assert [grain.dimensions for grain in GRAINS[:4]] == [(), ("model",), ("backend_name",), ("endpoint",)]
    assert [grain.number for grain in GRAINS] == list(range(19))
    assert [(level.number, level.seconds) for level in LEVELS] == [(0, 900), (1, 3600), (2, 86_400), (3, 60)]


def test_every_grain_has_days_and_the_finest_level_first() -> None:
    for grain in GRAINS:
        levels = [kept.level for kept in grain.kept]
        assert levels[-1] is DAY
        assert levels == sorted(levels, key=lambda level: level.seconds)
        assert grain.kept[-1].dense is None


def test_only_the_total_knows_everything() -> None:
    assert [grain.dimensions for grain in GRAINS if set(grain.moments) == set(ALL)] == [()]


def test_every_key_begins_with_the_version() -> None:
    assert {key_names(grain)[0] for grain in GRAINS} == {"app_version"}


def test_no_time_is_no_bucket_of_any_level() -> None:
    assert NO_TIME % QUARTER_S != 0
