"""The table of names beside the lists of the conventions, and what records really give beside both."""

from typing import Any

import pytest
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes, url_attributes

from llm_metrics_proxy.telemetry import names
from llm_metrics_proxy.telemetry.facts import dialects, event, measurements, span
from tests.telemetry import conventions
from tests.telemetry.conftest import a_stream

STABLE = {  # of the conventions that have a package, and are stable
    error_attributes.ERROR_TYPE,
    http_attributes.HTTP_REQUEST_METHOD,
    http_attributes.HTTP_RESPONSE_STATUS_CODE,
    server_attributes.SERVER_ADDRESS,
    server_attributes.SERVER_PORT,
    url_attributes.URL_PATH,
}
OWN = {*names.OWN_ATTRIBUTES.values(), names.COST, names.ERROR_MESSAGE}
# A record that knows everything that an attribute is made of.
KNOWN: dict[str, Any] = {
    "session_id": "s", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "response_id": "r", "choice_count": 2,
    "cache_write_tokens": 2, "reasoning_tokens": 7, "service_tier": "default", "error_type": "rate_limit",
    "success": False, "outcome": "upstream_error", "error_message": "slow down", "backend_name": "b", "origin": "o",
    "tags": "k=v", "app": "a", "agent_id": "x", "parent_agent_id": "y", "proxy_overhead_ms": 0.5,
    "request_sent_ms": 5.0,
}  # fmt: skip


def test_the_schemas_address_names_the_version_whose_lists_these_are() -> None:
    assert names.SCHEMA_URL.endswith(f"/gen-ai/{conventions.VERSION}")


def test_every_attribute_of_a_request_is_one_of_the_conventions_or_bears_this_programs_name() -> None:
    record = a_stream(**KNOWN)
    for attributes in (span(record, 0, 0.5).attributes, event(record, 0, 0.5).attributes):
        theirs = attributes.keys() - OWN
        assert theirs <= conventions.INFERENCE_ATTRIBUTES | STABLE, "not in the conventions"
        assert theirs >= {names.SERVICE_TIER, names.STREAM, names.CHOICE_COUNT, *names.PLAIN_ATTRIBUTES.values()}
        assert attributes.keys() >= {*names.OWN_ATTRIBUTES.values(), *names.USAGE_ATTRIBUTES.values()}


def test_the_instruments_are_exactly_those_of_the_conventions() -> None:
    ours = {each.name: ("histogram" if each.bounds else "counter", each.unit) for each in names.INSTRUMENTS}
    assert ours == {name: told[:2] for name, told in conventions.METRICS.items()}


def test_the_attributes_of_metrics_are_exactly_those_of_the_conventions() -> None:
    """Of failed and of successful streams, and of embeddings and others."""
    seen = set()
    for facts in (KNOWN, {"request_sent_ms": 5.0}, {"dialect": "openai_embeddings"}, {"dialect": "rerank"}):
        for each in measurements(a_stream(**facts), "gpt-4o", "gpt-4o-1"):
            name, theirs = each.instrument.name, conventions.METRIC_ATTRIBUTES
            if each.attributes.get("error.type"):
                assert conventions.METRICS[name][2], f"{name} has no error.type"
                theirs |= {"error.type"}
            if ".usage." in name:
                theirs |= {"gen_ai.token.modality"}
            assert each.attributes.keys() == theirs, name
            seen.add(name)
    assert seen == conventions.METRICS.keys()


def test_operations_are_named_as_the_conventions_name_them_where_they_do() -> None:
    ours = {names.RENAMED_OPERATIONS.get(each.operation, each.operation) for each in dialects().values()}
    assert ours >= conventions.OPERATIONS
    assert names.INFERENCE | {names.EMBEDDINGS, *names.RENAMED_OPERATIONS.values()} == conventions.OPERATIONS
    assert names.DETAILS_EVENT in conventions.EVENTS


def test_providers_that_the_conventions_know_have_their_names() -> None:
    """What is missing there has a name of ours; a word that differs by a dot or a dash would be a mistake."""
    ours = {provider for _, provider in names.PROVIDERS_BY_HOST} | {each.provider for each in dialects().values()}
    others = {name for name in ours if name is not None} - conventions.PROVIDERS
    assert others == {"openrouter", "ollama", "lmstudio", "llama_cpp", "koboldcpp"}
    assert ours >= conventions.PROVIDERS - {"gcp.gen_ai"}  # for callers who do not know which of Google's


def test_bounds_rise_as_the_conventions_advise() -> None:
    for each in names.INSTRUMENTS:
        assert list(each.bounds) == sorted(set(each.bounds))
    assert (names.INPUT_TOKENS.bounds[0], names.INPUT_TOKENS.bounds[-1]) == (1, 67_108_864)
    for each in (names.DURATION, names.FIRST_CHUNK, names.PER_CHUNK):
        assert each.bounds == pytest.approx(
            [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
        )


def test_own_names_are_apart_from_the_conventions() -> None:
    assert all(name.startswith("llm_proxy.") for name in (*OWN, names.OWN_EVENT))
