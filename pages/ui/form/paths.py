"""The paths of the form's fields, and lists written in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from registry.catalog.providers import Provider
from registry.catalog.specs import ConfigField
from registry.records import ModelType

_ESCAPES = {"\\": "\\", "\n": "n", "\t": "t", "\r": "r", ",": ","}
_UNESCAPED = {letter: char for char, letter in _ESCAPES.items()} | {"s": " "}
_ENTRY = re.compile(r"(?:[^\\,]|\\.?)+")  # up to a comma that has no backslash before it


def config_path(kind: ModelType, name: str) -> str:
    """The form's path of a parameter: each type keeps its own values."""
    return f"config.{kind}.{name}"


def own_path(name: str, provider: Provider) -> str:
    """The form's path of a provider's field, such as endpoint or key: it is never sent to another provider."""
    return f"{name}.{provider.id}"


def model_id_path(kind: ModelType, provider: Provider) -> str:
    """The form's path of the model id: each type and provider has its own."""
    return own_path(f"model_id.{kind}", provider)


def connection_path(name: str, provider: Provider) -> str:
    """The form's path of a field that the provider declares."""
    return own_path(f"connection.{name}", provider)


def toggle_path(kind: ModelType, item: ConfigField, known: Mapping[str, Any]) -> str:
    """The form's path of a toggle. One with an unusual known value has another path, so that the known value never
    overrides a toggle set by hand."""
    is_usual = known.get(item.name, item.default) == item.default
    return config_path(kind, item.name) + ("" if is_usual else ".known")


def shown_value(item: ConfigField, value: Any) -> Any:
    """A parameter's value as shown in its field."""
    if item.kind == "list":
        return joined(value or ())
    return float(value) if item.kind == "float" and value is not None else value


def joined(entries: Iterable[str]) -> str:
    """A list as one line, as shown and typed: a comma in an entry is ``\\,``, a line break ``\\n``, a space at its
    beginning or end ``\\s``."""
    return ", ".join(map(_escaped, entries))


def listed(text: str) -> list[str]:
    """Parse a typed list."""
    found = (entry.strip(" ") for entry in _ENTRY.findall(text))
    return [re.sub(r"\\(.)", lambda pair: _UNESCAPED.get(pair[1], pair[0]), entry) for entry in found if entry]


def _escaped(entry: str) -> str:
    inner = entry.strip(" ")
    text = "".join(f"\\{_ESCAPES[char]}" if char in _ESCAPES else char for char in inner)
    before = len(entry) - len(entry.lstrip(" ")) if inner else len(entry)
    return "\\s" * before + text + "\\s" * (len(entry) - before - len(inner))
