"""The reader of Prometheus' text agrees with Prometheus' own on what both read, and survives everything else."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from llm_metrics_proxy.servers.exposition import MOST_SERIES, MetricsLine, read

_NAMES = st.sampled_from(["vllm:num_requests_running", "a_b", "x:y_total"])
_LABELS = st.dictionaries(
    st.sampled_from(["model_name", "engine", "le"]),
    st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=12),
    max_size=3,
)
_VALUES = st.one_of(st.floats(), st.integers(-(10**12), 10**12))


def _written(name: str, labels: dict[str, str], value: float) -> str:
    escaped = {key: text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for key, text in labels.items()}
    inside = ",".join(f'{key}="{text}"' for key, text in escaped.items())
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


@given(st.lists(st.tuples(_NAMES, _LABELS, _VALUES), max_size=20))
def test_it_reads_what_the_library_reads(series: list[tuple[str, dict[str, str], float]]) -> None:
    page = "\n".join(_written(*one) for one in series) + "\n"
    wanted = {"vllm:num_requests_running", "x:y_total"}
    theirs = [
        MetricsLine(one.name, one.labels, one.value)
        for family in text_string_to_metric_families(page)
        for one in family.samples
        if one.name in wanted and math.isfinite(one.value)
    ]
    assert sorted(read(page.encode(), wanted), key=str) == sorted(theirs, key=str)


@given(st.binary(max_size=4000))
def test_any_bytes_are_survived(page: bytes) -> None:
    for one in read(b"a 1\n" + page, {"a"}):
        assert math.isfinite(one.value)


@given(st.text('a{}="\\,0 \t#1eNaInf_\n', max_size=200))
def test_near_misses_are_survived(text: str) -> None:
    assert all(one.name == "a" and math.isfinite(one.value) for one in read(text.encode(), {"a"}))


@given(
    st.lists(
        st.sampled_from([b"a 1\n", b'a{x="1"} 2\n', b"a{ 3\n", b"b 4\n", b"a 5 1764000000\n", b"a 6\r\n"]), max_size=30
    )
)
def test_a_wrong_line_costs_no_other(lines: list[bytes]) -> None:
    good = sum(line.startswith(b"a") and not line.startswith(b"a{ ") for line in lines)
    assert len(list(read(b"".join(lines), {"a"}))) == good


def test_series_without_end_are_cut_off() -> None:
    page = b"".join(b'a{x="%d"} 1\n' % n for n in range(MOST_SERIES + 10))
    assert len(list(read(page, {"a"}))) == MOST_SERIES


def test_python_s_own_spellings_of_numbers_are_none() -> None:
    assert not list(read(b"a 1_000\na 0x10\na nan\na inf\n", {"a"}))
