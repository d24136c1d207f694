"""The input of models and their parameters, per type.

Each parameter is declared once: pydantic validates it, the form is drawn from it (`config_fields`), and errors name it.
Unknown keys are refused, numbers are finite, and no value is converted to text or a flag. `registry.catalog.validation`
checks a whole model.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from registry.catalog import faults
from registry.errors import InvalidModelError
from registry.records import ModelType, Status
from registry.secrecy import Unpickled, forgetful

MAX_NAME = 255
_process_key = secrets.token_bytes(32)
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")

MOST_TOKENS: Final = 1024
"""A test asks for no longer answer; enough for a model that thinks before it answers."""

_LIMITS: Final = {ModelType.GENERATION: "config.max_output_tokens", ModelType.NER: "config.max_tokens"}
# by exclusion: a parameter that is new counts until it is known to have no part
_WITHOUT_EFFECT: Final = {
    "id",
    "name",
    "status",
    "is_default",
    "api_key",
    "config.tags",
    "config.cost_per_1m_input",
    "config.cost_per_1m_output",
    "config.context_window",
    "config.distance_metric",
    "config.batch_size",
    "config.supports_streaming",
    "config.supports_json_mode",
    "config.supports_vision",
}


def trimmed(value: Any) -> Any:
    """A text, trimmed and as an exact ``str``; any other value unchanged."""
    return str.strip(value) if isinstance(value, str) else value


def plain(value: str) -> str:
    """Refuse characters that hide or reorder text, and references that LiteLLM would expand from the environment."""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value) or _BIDI.search(value):
        raise ValueError("Must not hold control characters.")
    return no_environment(value)


def name_key(name: str) -> str:
    """The form in which names are compared: it ignores case, width and spacing."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def letters(text: str) -> str:
    """The ASCII letters and digits of a text, in lower case and without Unicode variants, as keys are written."""
    plain = unicodedata.normalize("NFKD", text).lower()
    return "".join(char for char in plain if char.isascii() and char.isalnum())


def _no_id(name: str) -> str:
    """Refuse a name in the form of an id: a look-up by the id of a deleted model would find the model of that name."""
    if _ID.fullmatch(name_key(name)):
        raise ValueError("Must not be a UUID: models have those as ids.")
    return name


def no_environment(value: str) -> str:
    """Refuse a reference to the environment, which LiteLLM would expand."""
    if "os.environ/" in value.casefold():
        raise ValueError("Must not refer to the environment (os.environ/…): enter the value itself.")
    return value


def _stop(value: str) -> str:
    """Accept white space, such as a blank line, but no control characters that a model does not write."""
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\r\t" for char in value):
        raise ValueError("Must not hold control characters other than line breaks and tabs.")
    return no_environment(value)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _readable(value: object) -> object:
    """Refuse a key that is not text: pydantic accepts any value inside a SecretStr, and decodes bytes."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) and value is not None:
        raise ValueError("Must be a text.")
    return value


def _word(value: object) -> object:
    """Replace a value that is not text by None: looking it up as an enum member would call its hash and ``==``."""
    return value if isinstance(value, str) else None


Text = Annotated[str, Field(strict=True)]
Name = Annotated[Text, Field(max_length=MAX_NAME), AfterValidator(plain)]
ModelName = Annotated[Name, AfterValidator(_no_id)]
Key = Annotated[SecretStr | None, BeforeValidator(_readable)]
Tag = Annotated[str, Field(min_length=1, max_length=50), AfterValidator(plain)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=20, strict=False), AfterValidator(_distinct)]
StopSequence = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_stop)]
StopSequences = Annotated[tuple[StopSequence, ...], Field(max_length=8, strict=False), AfterValidator(_distinct)]
Seconds = Annotated[int, Field(ge=1, le=600, title="Timeout, seconds", description="Until a call is given up.")]
Price = Annotated[float | None, Field(ge=0, le=100_000)]


class Checked(BaseModel):
    """Input that refuses invalid values and unknown fields with an error of the registry.

    Raises:
        InvalidModelError: ``fields`` gives the reason for each refused field.
    """

    @forgetful
    def __init__(self, /, **data: Any) -> None:
        declared = type(self).model_fields
        known = {name: value for name, value in data.items() if name in declared}
        fields = {faults.shown(name): faults.UNKNOWN for name in data if name not in known}
        try:
            super().__init__(**known)
        except ValidationError as error:
            fields = faults.by_field(error) | fields
        if fields:
            raise InvalidModelError(fields)  # outside the except block: pydantic's error holds the input


class Config(Checked):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


_TAGS_HELP = "Words to find the model by."
_TOP_P_HELP = "Choose among the likeliest tokens that add up to this probability."
_TOP_K_HELP = "Choose among this many tokens. Empty: the provider's default."
_INPUT_HELP = "US dollars for one million tokens sent. Empty: not known."
_OUTPUT_HELP = "US dollars for one million tokens answered. Empty: not known."


class EmbeddingConfig(Config):
    """Parameters of an embedding model."""

    dimensions: int = Field(ge=1, le=8192, title="Dimensions", description="Length of the vectors that it returns.")
    max_tokens: int = Field(ge=1, le=200_000, title="Max tokens", description="Longest text it takes, in tokens.")
    normalize: bool = Field(True, title="Normalize", description="Scale every vector to length 1.")
    distance_metric: Literal["cosine", "dot", "euclidean"] = Field(
        "cosine", title="Distance metric", description="How a vector store compares its vectors."
    )
    batch_size: int = Field(32, ge=1, le=1000, title="Batch size", description="Texts sent in one request.")
    tags: Tags = Field((), title="Tags", description=_TAGS_HELP)


class GenerationConfig(Config):
    """Parameters of a generation model."""

    context_window: int = Field(
        ge=1024, le=10_000_000, title="Context window", description="Prompt and answer together, in tokens."
    )
    max_output_tokens: int = Field(
        ge=1, le=10_000_000, title="Max output tokens", description="Longest answer. At most the context window."
    )
    temperature: float = Field(
        0.7, ge=0, le=2, title="Temperature", description="0: the same answer every time. Higher: more varied."
    )
    top_p: float = Field(1.0, ge=0, le=1, title="Top-p", description=_TOP_P_HELP)
    top_k: int | None = Field(None, ge=1, le=1000, title="Top-k", description=_TOP_K_HELP)
    supports_streaming: bool = Field(True, title="Streaming", description="Answers can be sent as they are written.")
    supports_json_mode: bool = Field(False, title="JSON mode", description="Can be set to answer in valid JSON.")
    supports_vision: bool = Field(False, title="Vision", description="Takes images.")
    timeout_seconds: Seconds = 120
    cost_per_1m_input: Price = Field(None, title="Input, $ per 1M", description=_INPUT_HELP)
    cost_per_1m_output: Price = Field(None, title="Output, $ per 1M", description=_OUTPUT_HELP)
    tags: Tags = Field((), title="Tags", description=_TAGS_HELP)

    @field_validator("max_output_tokens")
    @classmethod
    def _fits(cls, value: int, info: ValidationInfo) -> int:
        window = info.data.get("context_window")
        if window is not None and value > window:
            raise ValueError(f"Must not exceed the context window ({window:,}).")
        return value


class NerConfig(Config):
    """Parameters of a model that finds names and terms (named entity recognition)."""

    max_tokens: int = Field(ge=1, le=100_000, title="Max tokens", description="Longest answer, in tokens.")
    temperature: float = Field(
        0.0, ge=0, le=2, title="Temperature", description="0: the same entities every time. Higher: more varied."
    )
    top_p: float = Field(
        0.15,
        ge=0,
        le=1,
        title="Top-p",
        description="Choose among the likeliest tokens that add up to this probability.",
    )
    top_k: int | None = Field(30, ge=1, le=1000, title="Top-k", description=_TOP_K_HELP)
    response_format: Literal["json", "text"] = Field(
        "json", title="Response format", description="JSON: entities come as a JSON document."
    )
    stop_sequences: StopSequences = Field(
        (),
        title="Stop sequences",
        description="The answer ends where one of these appears. Write \\n for a line break.",
    )
    timeout_seconds: Seconds = 30
    cost_per_1m_input: Price = Field(None, title="Input, $ per 1M", description=_INPUT_HELP)
    cost_per_1m_output: Price = Field(None, title="Output, $ per 1M", description=_OUTPUT_HELP)
    tags: Tags = Field((), title="Tags", description=_TAGS_HELP)


CONTRACT_FIELDS: Final = ("dimensions", "normalize", "distance_metric")
"""Parameters that vectors depend on: they cannot change while KBs hold vectors made with them."""

CONFIGS: dict[ModelType, type[Config]] = {
    ModelType.EMBEDDING: EmbeddingConfig,
    ModelType.GENERATION: GenerationConfig,
    ModelType.NER: NerConfig,
}


class Input(Checked, Unpickled):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _trim(cls, value: Any) -> Any:
        return trimmed(value)

    @field_validator("config", mode="before", check_fields=False)
    @classmethod
    def _dump(cls, value: object) -> object:
        return value.model_dump(exclude_unset=True) if isinstance(value, Config) else value


class ModelCreate(Input):
    """A model to register. ``config`` is a mapping or one of the config classes of its type."""

    type: Annotated[ModelType, BeforeValidator(_word)]
    provider: Text
    name: ModelName
    model_id: Name
    api_endpoint: Text | None = None
    api_key: Key = None
    connection: dict[str, Text | None] = {}
    config: dict[str, Any] = {}
    status: Annotated[Status, BeforeValidator(_word)] = Status.ACTIVE
    is_default: StrictBool = False


class ModelUpdate(Input):
    """An edit of a model: only the given fields change, None clears, ``config`` and ``connection`` are merged."""

    provider: Text = ""
    name: ModelName = ""
    model_id: Name = ""
    api_endpoint: Text | None = None
    api_key: Key = None
    connection: dict[str, Text | None] = {}
    config: dict[str, Any] = {}
    status: Annotated[Status, BeforeValidator(_word)] = Status.ACTIVE
    is_default: StrictBool = False


@dataclass(frozen=True, slots=True)
class ConfigField:
    """A parameter as a form field. ``kind``: ``int``, ``float``, ``bool``, ``choice``, ``list``."""

    name: str
    label: str
    help: str
    kind: str
    required: bool
    default: Any
    optional: bool
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]


def config_fields(type: ModelType | str) -> tuple[ConfigField, ...]:
    """The parameters of a type, in the order in which a form shows them."""
    return tuple(_field(name, info) for name, info in CONFIGS[ModelType(type)].model_fields.items())


def stand_ins(type: ModelType | str) -> dict[str, int]:
    """A valid value for each required parameter, compatible with every valid value of the others."""
    bounds = {field.name: (field.minimum, field.maximum) for field in config_fields(type) if field.required}
    return {name: int((high if name == "context_window" else low) or 1) for name, (low, high) in bounds.items()}


def flat(model: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a model, those of ``connection`` and ``config`` under their paths."""
    nested = ("connection", "config")
    parts = {f"{part}.{name}": value for part in nested for name, value in model.get(part, {}).items()}
    return {name: value for name, value in model.items() if name not in nested} | parts


def affects_call(type: str, path: str) -> bool:
    """Whether a field other than the key affects the call of a model of this type, or the result of its test."""
    return path not in _WITHOUT_EFFECT and (path, type) != ("config.max_tokens", ModelType.EMBEDDING)


def called(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that affect the call of a model; the longest answer only as far as a test asks for it."""
    kind = ModelType(fields["type"])
    parts = {path: value for path, value in fields.items() if affects_call(kind, path) and value is not None}
    if kind in _LIMITS:
        parts[_LIMITS[kind]] = min(MOST_TOKENS, parts.get(_LIMITS[kind], MOST_TOKENS))
    return parts


def digest(*values: object) -> str:
    """A keyed digest, to compare values within this process without revealing them."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hmac.digest(_process_key, text.encode(), "sha256").hex()


def _field(name: str, info: FieldInfo) -> ConfigField:
    annotation = info.annotation
    inner = [arg for arg in get_args(annotation) if arg is not type(None)]
    optional = type(None) in get_args(annotation)
    bare = inner[0] if optional else annotation
    kind = {int: "int", float: "float", bool: "bool"}.get(bare, "list")  # type: ignore[arg-type]  # None gives "list"
    is_choice = get_origin(annotation) is Literal
    return ConfigField(
        name=name,
        label=info.title or name,
        help=info.description or "",
        kind="choice" if is_choice else kind,
        required=info.is_required(),
        default=None if info.is_required() else info.default,
        optional=optional,
        minimum=_bound(info, Ge, "ge"),
        maximum=_bound(info, Le, "le"),
        choices=get_args(annotation) if is_choice else (),
    )


def _bound(info: FieldInfo, kind: type[Ge] | type[Le], attribute: str) -> float | None:
    found = [getattr(item, attribute) for item in info.metadata if isinstance(item, kind)]
    return found[0] if found else None
