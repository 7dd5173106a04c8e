"""A transform's options in words: what may be said, and what is taken where nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from shotdap.transforms import Transform

__all__ = ["Option", "options_of"]

Schema: TypeAlias = Mapping[str, Any]

_KINDS: Final = {"integer": "integer", "number": "number", "boolean": "`true` or `false`", "string": "text"}


@dataclass(frozen=True)
class Option:
    """One option, as a row of a table has it."""

    name: str
    values: str
    """What it may be."""
    default: str
    meaning: str


def options_of(transform: Transform, meanings: Mapping[str, str]) -> tuple[Option, ...]:
    """All options of a transform, in the order of its signature.

    Args:
        transform: whose model tells types, ranges and defaults.
        meanings: of its arguments.
    """
    schema = transform.options_model.model_json_schema().get("properties", {})
    fields = transform.options_model.model_fields
    return tuple(
        Option(
            name,
            _values(schema[name]),
            "must be said" if field.is_required() else _default(field.default),
            meanings[name],
        )
        for name, field in fields.items()
    )


def _values(schema: Schema) -> str:
    """Which values a schema of JSON allows."""
    if "anyOf" in schema:  # the other one is none, which the default says
        (schema,) = (each for each in schema["anyOf"] if each["type"] != "null")
    if "enum" in schema:
        *others, last = (f"`{each}`" if isinstance(each, str) else str(each) for each in schema["enum"])
        return f"{', '.join(others)} or {last}"
    if schema["type"] == "array":
        return _list(schema)
    return ", ".join(filter(None, (_KINDS[schema["type"]], _range(schema))))


def _list(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    count = f"{least}" if least == most else f"{least} to {most}"
    item = schema["prefixItems"][0] if "prefixItems" in schema else schema["items"]
    return ", each ".join(filter(None, (f"{count} {_KINDS[item['type']]}s", _range(item))))


def _range(schema: Schema) -> str:
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    low = _number(least) if least is not None else f"above {_number(above)}" if above is not None else ""
    high = _number(most) if most is not None else f"below {_number(below)}" if below is not None else ""
    if low and high:
        return f"{low} to {high}" if most is not None else f"{low} and {high}"
    return high or (f"{low} or more" if least is not None else low)


def _default(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(map(_number, value))
    return "none" if value is None else f"`{value}`" if isinstance(value, str) else _number(value)


def _number(value: object) -> str:
    """Format a number for readers, with thousands separators."""
    return f"{value:,.12g}" if isinstance(value, int | float) else str(value)
