"""The OpenAPI document: FastAPI's own, with the shapes of our answers, examples, and what the guard may answer."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from llm_metrics_proxy.api.examples import EXAMPLES
from llm_metrics_proxy.api.guard import OPEN_PATHS
from llm_metrics_proxy.api.schemas import answer, components


def document(app: FastAPI, *, with_token: bool) -> dict[str, Any]:
    """Made once, and kept where FastAPI keeps it."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = app.openapi_schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": "."}],  # relative to the document's own address: right below any prefix
    )
    made["components"] = {"schemas": components()}  # FastAPI would know only its own
    if with_token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, example in EXAMPLES.items():  # added here because FastAPI drops nulls
        made["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"] = example
    for path, operations in made["paths"].items():
        for operation in operations.values():
            if not with_token:
                operation["responses"]["421"] = answer("ErrorAnswer", "The header Host names somebody else.")
            elif path not in OPEN_PATHS:
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = answer("ErrorAnswer", "The token is missing or wrong.")
                operation["responses"].setdefault("429", answer("ErrorAnswer", "Wrong tokens came too often."))
    return made
