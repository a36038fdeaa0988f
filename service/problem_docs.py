"""How the OpenAPI document shows errors: as the problem documents they are, with the codes a route may answer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.errors import ERRORS


class ProblemPlace(BaseModel):
    """One thing that is wrong, and where."""

    model_config = ConfigDict(extra="allow")

    message: str
    pointer: str | None = Field(None, description="JSON pointer to the value")
    line: int | None = Field(None, description="From 1; 0 is the whole file")
    column: int | None = Field(None, description="From 0")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="Stable name of the error")
    hint: str = Field(description="What to do about it")
    errors: list[ProblemPlace]
    request_id: str


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer these error codes."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        by_status.setdefault(ERRORS[code].status, []).append(code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": "; ".join(f"`{code}`: {ERRORS[code].title}" for code in sorted(group)),
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status, group in by_status.items()
    }


def finish_openapi(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document, with our errors in place of its own 422 and with the bearer token as security scheme."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    nested = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(nested.pop("$defs", {}))
    schemas["Problem"] = nested
    for gone in ("HTTPValidationError", "ValidationError"):
        schemas.pop(gone, None)
    components["securitySchemes"] = {"user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path in document["paths"].values():
        for operation in path.values():
            _finish_operation(operation)
    return document


def _finish_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    given = responses.get("422", {}).get("content", {}).get("application/json", {})
    if "HTTPValidationError" in str(given):
        responses["422"] = problems("validation_failed")[422]
    if "401" in responses:
        operation["security"] = [{"user": []}]
