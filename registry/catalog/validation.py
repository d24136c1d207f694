"""Checks a whole model against its type and its provider, and collects the errors of all fields.

No message repeats the input: it can be a secret that was pasted into the wrong field.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from pydantic import SecretStr

from registry.catalog import endpoints
from registry.catalog.faults import REQUIRED, shown
from registry.catalog.providers import DUMMY_KEYS, PROVIDERS, Need, Provider
from registry.catalog.specs import (
    CONFIGS,
    MAX_NAME,
    Checked,
    Config,
    Input,
    ModelCreate,
    ModelUpdate,
    Name,
    letters,
    name_key,
    no_environment,
    plain,
    stand_ins,
    trimmed,
)
from registry.errors import InvalidInputError, InvalidModelError
from registry.records import ModelType, Status

MAX_KEY = 4096
_MASKS = ("***", "...")
_LIKE_A_KEY: Final = 16  # characters; fewer can be a word or part of one
_ESCAPED_AT_MOST: Final = 8  # times
_BETWEEN_WORDS = re.compile(r"[\s/.:,;=?&#()\"'\[\]]+")
_HOLDS_KEY: Final = (
    "Holds the API key. Remove it: this field is shown and logged. If the field needs this text, the key is not "
    "secret: have the provider issue another."
)

Errors = dict[str, str]
C = TypeVar("C", bound=Checked)


def parse_create(
    data: ModelCreate | Mapping[str, Any], *, has_stored_key: bool = False, argument: str = "spec"
) -> ModelCreate:
    """Check a whole model; return it trimmed and with defaults filled in.

    Args:
        has_stored_key: a stored key is kept, so that none has to be given.
        argument: the caller's name of ``data``, for the error if it is not a mapping.

    Raises:
        InvalidModelError: ``fields`` has a message for every field at fault.
    """
    raw, errors = _as_mapping(argument, data), Errors()
    spec = _parsed(ModelCreate, raw, errors)
    kind = _member(raw.get("type"))
    config = _parsed(CONFIGS[kind], _config(raw), errors, "config") if kind and "config" not in errors else None
    provider = _provider(raw.get("provider"), errors)
    for path in ("name", "model_id"):
        if isinstance(raw.get(path), str) and not raw[path].strip():
            errors[path] = REQUIRED
    if provider and kind and kind not in provider.types:
        served = " and ".join(provider.types)
        errors["provider"] = f"{provider.label} has no {kind} models here, only {served}."
    endpoint = _endpoint(raw.get("api_endpoint"), provider, errors)
    key = _key(raw.get("api_key"), provider, has_stored_key, errors)
    connection = _connection(raw.get("connection"), provider, errors)
    if spec is not None and spec.is_default and spec.status is not Status.ACTIVE:
        errors["is_default"] = "Only an active model can be the default."
    if errors or spec is None or config is None:
        raise InvalidModelError(errors)
    parsed = {"api_endpoint": endpoint, "api_key": key, "connection": connection}
    whole = spec.model_copy(update={**parsed, "config": config.model_dump(mode="json")})
    refuse_key_in_fields(whole, key)
    return whole


def refuse_key_in_fields(spec: ModelCreate, key: SecretStr | None, among: Container[str] | None = None) -> None:
    """Check that no field other than ``api_key`` holds the key: these fields are shown and logged.

    A key of 16 characters or more is found anywhere in a text, ignoring case, Unicode variants, URL escapes and, if it
    has 16 letters and digits, separators. A word of 16 letters and digits that is part of the key is found too. A
    shorter key is found only as the whole text. Dummy keys from the providers' documentation are ignored.

    Args:
        key: the new key, or the stored one that stays.
        among: the fields to check; all by default.

    Raises:
        InvalidModelError: a field holds the key.
    """
    text = key.get_secret_value() if key else ""
    if not text or text in DUMMY_KEYS:
        return
    found = {path for path, shown in _texts(spec) if _holds(shown, text)}
    if among is not None:
        found = {path for path in found if path.partition(".")[0] in among}
    if found:
        raise InvalidModelError(dict.fromkeys(sorted(found), _HOLDS_KEY))


def _texts(spec: ModelCreate) -> Iterator[tuple[str, str]]:
    """Each text of a model, with the path of its field."""
    yield from (("name", spec.name), ("model_id", spec.model_id), ("api_endpoint", spec.api_endpoint or ""))
    for part, values in (("connection", spec.connection), ("config", spec.config)):
        for name, value in values.items():
            for each in value if isinstance(value, list | tuple) else (value,):
                yield f"{part}.{name}", str(each)


def _holds(text: str, key: str) -> bool:
    text, key = name_key(_unescaped(text)), name_key(_unescaped(key))
    if key == text or (len(key) >= _LIKE_A_KEY and key in text):
        return True
    whole = letters(key)
    parts = [part for part in map(letters, (text, *_BETWEEN_WORDS.split(text))) if len(part) >= _LIKE_A_KEY]
    return any(part in whole or (len(whole) >= _LIKE_A_KEY and whole in part) for part in parts)


def _unescaped(text: str) -> str:
    for _ in range(_ESCAPED_AT_MOST):
        text = unquote(text)
    return text


def parse_test(
    data: ModelCreate | Mapping[str, Any], *, has_stored_key: bool = False, argument: str = "model"
) -> ModelCreate:
    """As `parse_create`, but required parameters are optional and are not filled in: a test needs none of them.

    Raises:
        InvalidModelError: ``fields`` has a message for every field at fault.
    """
    raw = _as_mapping(argument, data)
    kind, config = _member(raw.get("type")), _config(raw)
    if kind is None or not isinstance(config, Mapping):
        return parse_create(raw, has_stored_key=has_stored_key)
    missing = {name: value for name, value in stand_ins(kind).items() if config.get(name) is None}
    spec = parse_create({**raw, "config": {**config, **missing}}, has_stored_key=has_stored_key)
    return spec.model_copy(
        update={"config": {name: value for name, value in spec.config.items() if name not in missing}}
    )


def parse_update(data: ModelUpdate | Mapping[str, Any], *, argument: str = "edit") -> dict[str, Any]:
    """Check each given field separately; `parse_create` checks the merged whole later.

    Raises:
        InvalidModelError: ``fields`` has a message for every field at fault.
    """
    raw, errors = _as_mapping(argument, data), Errors()
    if raw.pop("type", None) is not None:
        errors["type"] = "The type of a model cannot change: register another model."
    spec = _parsed(ModelUpdate, raw, errors)
    if errors or spec is None:
        raise InvalidModelError(errors)
    return {name: getattr(spec, name) for name in spec.model_fields_set}


def check_text(argument: str, value: object) -> str:
    """Check and trim a name of 1–255 plain characters.

    Raises:
        InvalidInputError: it is invalid.
    """
    errors = Errors()
    spec = _parsed(_OneName, {"value": value}, errors)
    if spec is None or not spec.value:
        raise InvalidInputError({argument: errors.get("value", REQUIRED)})
    return spec.value


class _OneName(Input):
    value: Name


def _as_mapping(argument: str, data: object) -> dict[str, Any]:
    if isinstance(data, Input):
        return {name: getattr(data, name) for name in data.model_fields_set}
    if isinstance(data, Mapping) and all(isinstance(name, str) for name in data):
        times = Counter(map(str.strip, data))
        if len(times) < len(data):
            twice = (name for name, number in times.items() if number > 1)
            raise InvalidModelError({shown(name): "Is given more than once." for name in twice})
        return {str.strip(name): trimmed(value) for name, value in data.items()}
    raise InvalidModelError({argument: "Must be a mapping of field names, a ModelCreate or a ModelUpdate."})


def _member(value: object) -> ModelType | None:
    return next((kind for kind in ModelType if isinstance(value, str) and kind.value == value), None)


def _config(raw: Mapping[str, Any]) -> object:
    config = raw.get("config", {})
    return config.model_dump(exclude_unset=True) if isinstance(config, Config) else config


def _provider(value: object, errors: Errors) -> Provider | None:
    found = PROVIDERS.get(value) if isinstance(value, str) else None
    if found is None:
        is_given = isinstance(value, str) and value.strip()
        errors.setdefault("provider", "Choose one of the known providers." if is_given else REQUIRED)
    return found


def _endpoint(value: object, provider: Provider | None, errors: Errors) -> str | None:
    if not isinstance(value, str) or not value.strip():
        if provider and provider.endpoint.need is Need.REQUIRED:
            errors.setdefault("api_endpoint", f"{provider.label} needs an endpoint.")
        return None
    return _checked("api_endpoint", value, lambda text: no_environment(endpoints.parse_endpoint(text)), errors)


def _key(value: object, provider: Provider | None, has_stored_key: bool, errors: Errors) -> SecretStr | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not text.strip():
        if provider and provider.api_key.need is Need.REQUIRED and not has_stored_key:
            errors.setdefault("api_key", f"{provider.label} needs an API key.")
        return None
    key = _checked("api_key", text.strip(), _plain_key, errors)
    return SecretStr(key) if key else None


def _plain_key(key: str) -> str:
    if len(key) > MAX_KEY:
        raise ValueError(f"At most {MAX_KEY:,} characters.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("Must hold only plain ASCII characters, without spaces or line breaks.")
    if any(mask in key for mask in _MASKS):
        raise ValueError("Looks like a key that was masked for display. Enter the whole key.")
    return no_environment(key)


def _connection(value: object, provider: Provider | None, errors: Errors) -> dict[str, str]:
    given = value if isinstance(value, Mapping) else {}
    if provider is None:
        return {}
    if set(given) - set(provider.connection):
        errors["connection"] = f"{provider.label} takes only: {', '.join(provider.connection) or 'no further fields'}."
    found: dict[str, str] = {}
    for name, field in provider.connection.items():
        text = given.get(name)
        if isinstance(text, str) and text.strip():
            found[name] = _checked(f"connection.{name}", text.strip(), _plain_field, errors) or ""
        elif field.need is Need.REQUIRED:
            errors.setdefault(f"connection.{name}", REQUIRED)
    return found


def _plain_field(text: str) -> str:
    if len(text) > MAX_NAME:
        raise ValueError(f"At most {MAX_NAME} characters.")
    return plain(text)


def _checked(path: str, value: str, check: Callable[[str], str], errors: Errors) -> str | None:
    try:
        return check(value)
    except ValueError as error:
        errors.setdefault(path, str(error))
        return None


def _parsed(model: type[C], raw: object, errors: Errors, prefix: str = "") -> C | None:
    if not isinstance(raw, Mapping) or not all(isinstance(name, str) for name in raw):
        errors.setdefault(prefix, "Must be a mapping whose keys are texts.")
        return None
    try:
        return model(**raw)
    except InvalidModelError as error:
        for path, message in error.fields.items():
            errors.setdefault(".".join(filter(None, (prefix, path))), message)
        return None
