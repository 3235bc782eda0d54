import pytest

from llm_metrics_proxy.analytics.dimensions import BAND_NAMES, BANDS, BIN_EDGES, DIMENSIONS, dimension, has_order
from llm_metrics_proxy.errors import QueryError


def test_bands_and_bins_ascend_and_each_band_has_a_name() -> None:
    assert list(BIN_EDGES) == sorted(set(BIN_EDGES))
    assert list(BANDS) == sorted(set(BANDS))
    assert (len(BAND_NAMES), BAND_NAMES[:3], BAND_NAMES[-1]) == (len(BANDS) + 1, ("0", "1-63", "64-255"), "65536+")


def test_a_family_is_known_by_its_name() -> None:
    tag, bins = dimension("tag:team"), dimension("bin:total_tokens")
    assert (tag.family, tag.tag, tag.kind, bins.family, bins.column) == ("tag", "team", "text", "bin", "total_tokens")
    assert {one.family for one in DIMENSIONS.values()} == {"column", "band", "time"}


def test_what_has_an_order_of_its_own_says_so() -> None:
    assert {name for name in DIMENSIONS if has_order(dimension(name))} == {
        "time", "status_code", "hour_of_day", "weekday", "prompt_length", "completion_length",
    }  # fmt: skip
    assert has_order(dimension("bin:total_tokens"))
    assert not has_order(dimension("tag:team"))


@pytest.mark.parametrize("name", ["", "tag", "tag:", "tag:a,b", f"tag:{'x' * 129}", "bin:model", "Model ", "time;--"])
def test_what_is_no_dimension_is_refused(name: str) -> None:
    with pytest.raises(QueryError, match="there is no") as error:
        dimension(name, "x")
    assert error.value.parameter == "x"
