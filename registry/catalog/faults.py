"""Translates pydantic's errors into the registry's messages: one per field path, without the input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

REQUIRED: Final = "Required."
UNKNOWN: Final = "There is no such setting."
_FIELD: Final = re.compile("[a-z_]*[0-9]?[a-z_]*")  # matches names of fields, but not keys
_MOST_SHOWN = 24
_FEW_SHOWN = 3
_ANY_KEY: Final = "[key]"  # pydantic's word, where the key of a mapping is at fault
_MESSAGES: Final = {
    "missing": REQUIRED,
    "string_too_short": "Must not be empty.",
    "string_type": "Must be a text.",
    "string_unicode": "Must be a valid text.",
    "int_type": "Must be a whole number.",
    "int_from_float": "Must be a whole number.",
    "int_parsing_size": "Must be a smaller number.",
    "float_type": "Must be a number.",
    "finite_number": "Must be a number.",
    "bool_type": "Must be yes or no.",
    "bool_parsing": "Must be yes or no.",
    "tuple_type": "Must be a list.",
    "dict_type": "Must be a mapping.",
    "model_type": "Must be a mapping.",
}


def by_field(error: ValidationError) -> dict[str, str]:
    """The first error of each field, by path."""
    found: dict[str, str] = {}
    for item in error.errors(include_input=False, include_url=False):
        path = ".".join(shown(part) for part in item["loc"] if isinstance(part, str) and part != _ANY_KEY)
        found.setdefault(path, _message(item["type"], item.get("ctx", {})))
    return found


def shown(name: str) -> str:
    """A field name for an error message: the whole name if it looks like one, else its quoted beginning.

    An unknown name can be a secret that was pasted into the wrong place.
    """
    if 0 < len(name) <= _MOST_SHOWN and _FIELD.fullmatch(name):
        return name
    return f"“{repr(name[:_FEW_SHOWN])[1:-1]}{'…' if len(name) > _FEW_SHOWN else ''}”"


def _message(kind: str, ctx: Mapping[str, Any]) -> str:
    match kind:
        case "value_error":
            return str(ctx["error"])
        case "literal_error" | "enum":
            return f"Choose one of {str(ctx['expected']).replace(chr(39), '')}."
        case "greater_than_equal":
            return f"Must be at least {ctx['ge']:,}."
        case "less_than_equal":
            return f"Must be at most {ctx['le']:,}."
        case "string_too_long":
            return f"At most {ctx['max_length']:,} characters."
        case "too_long":
            return f"At most {ctx['max_length']:,} entries."
        case _:
            return _MESSAGES.get(kind, "Not a valid value.")
