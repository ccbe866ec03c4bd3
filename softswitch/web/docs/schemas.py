"""JSON Schemas of structs, under names of a group's own."""

from collections.abc import Sequence
from typing import Any

import msgspec


def schemas(types: Sequence[Any], prefix: str = "") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a reference to each type's schema, and the schemas by name.

    Args:
        types: Structs.
        prefix: Put before each name, so that groups with structs of one name can share a document.
    """
    references, components = msgspec.json.schema_components(
        types, schema_hook=_anything, ref_template="#/components/schemas/" + prefix + "{name}"
    )
    return list(references), {prefix + name: schema for name, schema in components.items()}


def _anything(kind: type) -> dict[str, Any]:
    """Return the schema of a field that may be any JSON."""
    if kind is object:
        return {"description": "Any JSON."}
    raise TypeError(f"{kind.__name__} cannot be described")


def title(kind: type[msgspec.Struct]) -> str:
    """Return the first sentence of a struct's documentation."""
    return (kind.__doc__ or kind.__name__).strip().partition("\n")[0]
