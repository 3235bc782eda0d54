"""The table of names beside the constants of the installed conventions."""

import inspect

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from llm_metrics_proxy.telemetry import names

KNOWN = {value for name, value in inspect.getmembers(gen_ai_attributes) if name.startswith("GEN_AI_")}


def test_every_gen_ai_name_is_one_of_the_conventions() -> None:
    ours = {value for name, value in inspect.getmembers(names) if name.isupper() and isinstance(value, str)}
    ours |= set(names.PLAIN_ATTRIBUTES.values())
    ours = {name for name in ours if name.startswith("gen_ai.")}
    assert len(ours) > 15
    assert ours <= KNOWN


def test_the_histograms_are_those_of_a_client() -> None:
    known = {value for name, value in inspect.getmembers(gen_ai_metrics) if name.startswith("GEN_AI_CLIENT_")}
    assert {each.name for each in names.HISTOGRAMS} <= known


def test_bounds_rise_as_the_conventions_advise() -> None:
    for each in names.HISTOGRAMS:
        assert list(each.bounds) == sorted(set(each.bounds))
    assert (names.TOKEN_USAGE.bounds[0], names.TOKEN_USAGE.bounds[-1]) == (1, 67_108_864)
    assert (names.DURATION.bounds[0], round(names.DURATION.bounds[-1], 2)) == (0.01, 81.92)


def test_own_names_are_apart_from_the_conventions() -> None:
    assert all(name.startswith("llm_proxy.") for name in (*names.OWN_ATTRIBUTES.values(), names.COST))
