"""The description of REST (OpenAPI 3.1), from the table of operations and their structs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from softswitch.web.docs.schemas import schemas, title
from softswitch.web.operation import Operation
from softswitch.web.route import Route

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
    records: Sequence[Operation] = (),
) -> dict[str, Any]:
    """Return the document.

    Args:
        groups: Operations by the tag they are listed under.
        failure: Body of every refusal.
        version: Of the switch.
        prefixes: Every operation is there under each of them.
        records: Further operations, on records, whose paths are complete.
    """
    operations = [operation for group in groups.values() for operation in group]
    operations += records
    kinds = list(dict.fromkeys(kind for one in operations for kind in (one.takes, one.gives) if kind))
    references, components = schemas([*kinds, failure])
    schema_of = dict(zip([*kinds, failure], references, strict=True))
    paths: dict[str, Any] = {}
    for prefix in prefixes:
        for tag, group in groups.items():
            for operation in group:
                path = paths.setdefault(prefix + operation.path, {})
                path[operation.method.lower()] = _described(operation, tag, prefix, schema_of, failure)
    for operation in records:
        path = paths.setdefault(operation.path, {})
        path[operation.method.lower()] = _described(operation, "Records", "", schema_of, failure)
    tags = [*groups, *(["Records"] if records else [])]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "softswitch: call control",
            "version": version,
            "summary": "Call control over REST.",
        },
        "servers": [{"url": "/"}],
        "security": [{"appid": []}, {"bearer": []}],
        "tags": [{"name": tag} for tag in tags],
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
            str(operation.status): _answer(operation, schema_of),
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


def _answer(operation: Operation, schema_of: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    """Return the response of an operation that was carried out."""
    if operation.gives is None:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        return {"description": "The file", "content": content}
    struct = isinstance(operation.gives, type) and issubclass(operation.gives, msgspec.Struct)
    text = title(operation.gives) if struct else operation.summary
    return _response(text, schema_of[operation.gives])


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _name(operation: Operation, prefix: str) -> str:
    words = re.findall(r"\w+", f"{prefix} {operation.method} {operation.path}".lower())
    return "_".join(words)


_SERVED = re.compile(r"^Serve ``[^`]+``(?: and ``[^`]+``)*[^:]*: (.+)$")


def add_routes(document: dict[str, Any], routes: Sequence[Route]) -> None:
    """Describe the routes of an application that a document does not have yet.

    Args:
        document: The document, which is changed.
        routes: Routes; the first line of a handler's documentation says what its route does.
    """
    tags = [tag["name"] for tag in document["tags"]]
    for route in routes:
        path = document["paths"].setdefault(route.path, {})
        if route.method.lower() in path:
            continue
        first = route.path.split("/")[1] or "page"
        tag = {"api": "Rooms", "ws": "Rooms", "call": "Calls of /call"}.get(first, "Administration")
        if tag not in tags:
            tags.append(tag)
            document["tags"].append({"name": tag})
        path[route.method.lower()] = {
            "tags": [tag],
            "summary": _summary(route),
            "operationId": _identity(route),
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"{(\w+)}", route.path)
            ],
            "responses": {
                "200": {"description": "Done"},
                **({"401": {"description": REFUSALS[401]}} if route.scope else {}),
            },
            **({} if route.scope else {"security": []}),
        }


def _summary(route: Route) -> str:
    """Return what a route does: the words of its handler, else the handler's name."""
    line = (route.handler.__doc__ or "").strip().partition("\n")[0]
    served = _SERVED.match(line)
    if served is not None:
        text = served[1]
    else:
        text = f"{route.handler.__name__.replace('_', ' ')}{line.rpartition('``')[2]}"
    return text[0].upper() + text[1:].rstrip(".")


def _identity(route: Route) -> str:
    words = re.findall(r"\w+", f"{route.method} {route.path}".lower())
    return "_".join(words) + ("_slash" if route.path.endswith("/") else "")
