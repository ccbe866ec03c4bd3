"""The description of REST (OpenAPI 3.1), from the table of operations and their structs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from softswitch.web.docs.schemas import schemas, title
from softswitch.web.operation import Operation

REFUSALS = {
    400: "A field is missing or wrong; `errors` names each.",
    401: "No valid key.",
    403: "The key has not the scope.",
    404: "Not there, or not yours.",
    422: "Refused in this state, or by a limit.",
    503: "The switch is going down or full: try again after `Retry-After` seconds.",
}


def openapi(
    groups: Mapping[str, Sequence[Operation]],
    failure: type[msgspec.Struct],
    version: str,
    *,
    prefixes: Sequence[str] = ("",),
) -> dict[str, Any]:
    """Return the document.

    Args:
        groups: Operations by the tag they are listed under.
        failure: Body of every refusal.
        version: Of the switch.
        prefixes: Every operation is there under each of them.
    """
    operations = [operation for group in groups.values() for operation in group]
    kinds = list(dict.fromkeys(kind for one in operations for kind in (one.takes, one.gives) if kind))
    references, components = schemas([*kinds, failure])
    schema_of = dict(zip([*kinds, failure], references, strict=True))
    paths: dict[str, Any] = {}
    for prefix in prefixes:
        for tag, group in groups.items():
            for operation in group:
                path = paths.setdefault(prefix + operation.path, {})
                path[operation.method.lower()] = _described(operation, tag, prefix, schema_of, failure)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "softswitch: call control",
            "version": version,
            "summary": "Call control over REST.",
        },
        "servers": [{"url": "/"}],
        "security": [{"appid": []}, {"bearer": []}],
        "tags": [{"name": tag} for tag in groups],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "appid": {"type": "apiKey", "in": "query", "name": "appid"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _described(
    operation: Operation,
    tag: str,
    prefix: str,
    schema_of: Mapping[Any, dict[str, Any]],
    failure: type[msgspec.Struct],
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [tag],
        "summary": operation.summary,
        "operationId": _name(operation, prefix),
        "responses": {
            str(operation.status): _response(title(operation.gives), schema_of[operation.gives]),
            **{str(code): _response(REFUSALS[code], schema_of[failure]) for code in operation.refusals},
        },
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
        for name in operation.query
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.takes is not None:
        content = {"application/json": {"schema": schema_of[operation.takes]}}
        described["requestBody"] = {"required": not operation.optional, "content": content}
    return described


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _name(operation: Operation, prefix: str) -> str:
    words = re.findall(r"\w+", f"{prefix} {operation.method} {operation.path}".lower())
    return "_".join(words)
