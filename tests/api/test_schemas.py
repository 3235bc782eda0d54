from typing import Any

from llm_metrics_proxy.analytics.metrics import DISTRIBUTIONS
from llm_metrics_proxy.api.schemas import components
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from tests.analytics.database import Database
from tests.api.service import client


def test_a_record_is_described_column_by_column_with_meaning_and_unit() -> None:
    schema = components()["RequestItem"]
    assert tuple(schema["properties"]) == ALL_COLUMNS
    assert schema["required"] == list(ALL_COLUMNS)
    assert schema["additionalProperties"] is False
    for name, fact in REGISTRY.items():
        described = schema["properties"][name]
        assert described["description"] == fact.meaning
        if name != "arrival":
            assert {"type": "null"} in described["anyOf"]  # an older program may not have known it
        assert described.get("x-unit", "") == fact.unit
    assert schema["properties"]["tokens_per_second"]["x-unit"] == "tokens/s"


def test_flags_numbers_and_text_have_their_types() -> None:
    properties = components()["RequestItem"]["properties"]
    assert {one["type"] for one in properties["is_streaming"]["anyOf"]} == {"boolean", "null"}
    assert {one["type"] for one in properties["response_time_ms"]["anyOf"]} == {"number", "null"}
    assert {one["type"] for one in properties["prompt_tokens"]["anyOf"]} == {"integer", "null"}
    assert properties["arrival"]["type"] == "integer"


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_every_reference_in_the_document_leads_somewhere(database: Database) -> None:
    document = client(database).get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= named
    assert "#/components/schemas/Summary" in references(document)
    assert "HTTPValidationError" not in str(document)


def test_every_operation_documents_its_errors_in_the_one_shape(database: Database) -> None:
    document = client(database).get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for status, answer in operations["get"]["responses"].items():
            if int(status) >= 400 and path != "/ready":
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}
        if path.startswith("/api/"):
            reads_nothing = path == "/api/v1/settings"  # so that no state of the database matters to it
            assert {"200", "422"} | (set() if reads_nothing else {"503"}) <= set(operations["get"]["responses"])


def test_the_token_is_documented_where_it_is_asked_for(database: Database) -> None:
    assert "securitySchemes" not in client(database).get("/openapi.json").json()["components"]
    headers = {"Authorization": "Bearer t"}
    document = client(database, token="t").get("/openapi.json", headers=headers).json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        asked_for = path not in ("/health", "/ready")
        assert ("security" in operations["get"]) is asked_for
        assert ("401" in operations["get"]["responses"]) is asked_for


def test_the_check_of_names_is_documented_where_there_is_no_token(database: Database) -> None:
    headers = {"Authorization": "Bearer t"}
    for http, checked in ((client(database), True), (client(database, token="t"), False)):
        document = http.get("/openapi.json", headers=headers).json()
        assert {"421" in operations["get"]["responses"] for operations in document["paths"].values()} == {checked}


def test_the_document_names_every_metric_of_the_summary_by_its_column() -> None:
    assert {metric.name for metric in DISTRIBUTIONS} <= set(components()["RequestItem"]["properties"])
