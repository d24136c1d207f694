"""The provider catalogue, as data: to add a provider, add an entry to `PROVIDERS`. Forms, validation, keys, LiteLLM
parameters and the known-model catalogue follow from it.

What LiteLLM expects for each provider was verified with LiteLLM 1.106.2, see docs/providers.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from registry.catalog.endpoints import origin, parse_endpoint
from registry.errors import InvalidModelError
from registry.records import ModelType

PLACEHOLDER_KEY = (
    "none"  # sent to a provider that takes no key: without one, LiteLLM would read a key from the environment
)

DUMMY_KEYS = frozenset(
    {PLACEHOLDER_KEY, "EMPTY", "ollama", "lm-studio", "not-needed", "no-key-required", "sk-no-key-required"}
)
"""Dummy keys from the documentation of servers that check no key; see docs/providers.md."""


class Need(StrEnum):
    """Whether a provider needs a connection field."""

    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Field:
    """A connection field of a form. ``default`` prefills the form, and is sent if the model has no value."""

    need: Need
    label: str
    hint: str = ""
    placeholder: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """How LiteLLM calls a provider for one type of model.

    Attributes:
        prefix: LiteLLM's provider prefix, with its slash.
        path: the end that LiteLLM requires of ``api_base``; added if the endpoint lacks it.
        cut: an end that LiteLLM does not accept there; removed if the endpoint has it.
        model_from: the connection field with the name to call, if that is not ``model_id``.
    """

    prefix: str
    path: str = ""
    cut: str = ""
    model_from: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of models.

    Attributes:
        routes: how each type is called; NER models use the route of generation models.
        default_endpoint: called if a model has no endpoint. It is always passed to LiteLLM, so that no environment
            variable can redirect a call.
        connection: the fields it needs besides endpoint and key. The names are LiteLLM's parameters.
        catalog: LiteLLM's names of it in the price map, which lists its known models.
        examples: a model id per type, to show as an example.
    """

    id: str
    label: str
    routes: Mapping[ModelType, Route]
    api_key: Field
    endpoint: Field
    default_endpoint: str | None = None
    connection: Mapping[str, Field] = field(default_factory=dict)
    catalog: tuple[str, ...] = ()
    examples: Mapping[ModelType, str] = field(default_factory=dict)

    @property
    def types(self) -> tuple[ModelType, ...]:
        """The model types that it serves."""
        return tuple(kind for kind in ModelType if self._route(kind))

    def origin(self, api_endpoint: str | None) -> str:
        """Scheme, host and port at which a model with this endpoint is called.

        Raises:
            ValueError: the endpoint is invalid or not in its stored form, which other programs could read differently.
        """
        if api_endpoint and parse_endpoint(api_endpoint) != api_endpoint:
            raise ValueError("Not in the stored form of an endpoint.")
        return origin(api_endpoint or self.default_endpoint or "")

    def litellm_params(
        self,
        type: ModelType,
        model_id: str,
        api_endpoint: str | None,
        connection: Mapping[str, str],
        api_key: SecretStr | None,
    ) -> dict[str, Any]:
        """LiteLLM's arguments for a direct call: ``model``, ``api_base``, ``api_key`` and connection fields.

        Connection fields that the provider does not declare, which only an edit by SQL can add, are dropped.

        Raises:
            KeyError: the provider does not serve this type.
            InvalidModelError: a value is not text, or refers to the environment, which LiteLLM would read.
        """
        route = self._route(type)
        if route is None:
            raise KeyError(type)
        called = connection.get(route.model_from, model_id) if route.model_from else model_id
        defaults = {name: field.default for name, field in self.connection.items() if field.default}
        given = {name: value for name, value in {**defaults, **connection}.items() if name in self.connection}
        extra = {name: value for name, value in given.items() if name != route.model_from}
        base = (api_endpoint or self.default_endpoint or "").removesuffix(route.cut)
        values: tuple[object, ...] = (called, base, *extra.values())
        for value in values:
            if not isinstance(value, str) or "os.environ/" in value.casefold():
                raise InvalidModelError({}, "A value is no text, or refers to the environment. Enter the value itself.")
        return {
            "model": route.prefix + called,
            "api_base": base if base.endswith(route.path) else base + route.path,
            "api_key": api_key.get_secret_value() if api_key else PLACEHOLDER_KEY,
            **extra,
        }

    def _route(self, type: ModelType) -> Route | None:
        return self.routes.get(ModelType.GENERATION if type is ModelType.NER else type)


def _key(placeholder: str, hint: str) -> Field:
    return Field(Need.REQUIRED, "API key", hint, placeholder)


def _endpoint(default: str, hint: str = "Leave empty for the provider's own.") -> Field:
    return Field(Need.OPTIONAL, "Endpoint", hint, default)


_NO_KEY = Field(Need.OPTIONAL, "API key", "Only if a gateway in front of it asks for one.")
_E, _G = ModelType.EMBEDDING, ModelType.GENERATION

_ALL = (
    Provider(
        id="ollama",
        label="Ollama",
        routes={_E: Route("ollama/", cut="/v1"), _G: Route("ollama_chat/", cut="/v1")},
        api_key=_NO_KEY,
        endpoint=_endpoint(
            "http://localhost:11434", "Leave empty for this machine. Behind a LiteLLM proxy: as the proxy reaches it."
        ),
        default_endpoint="http://localhost:11434",
        catalog=("ollama", "ollama_chat"),
        examples={_E: "nomic-embed-text", _G: "llama3.1:8b"},
    ),
    Provider(
        id="openai",
        label="OpenAI",
        routes={_E: Route("openai/"), _G: Route("openai/")},
        api_key=_key("sk-…", "From platform.openai.com, under API keys."),
        endpoint=_endpoint("https://api.openai.com/v1"),
        default_endpoint="https://api.openai.com/v1",
        connection={"organization": Field(Need.OPTIONAL, "Organization", "If the key has several.", "org-…")},
        catalog=("openai",),
        examples={_E: "text-embedding-3-small", _G: "gpt-4o"},
    ),
    Provider(
        id="azure",
        label="Azure OpenAI",
        routes={_E: Route("azure/", model_from="deployment"), _G: Route("azure/", model_from="deployment")},
        api_key=_key("", "From the resource's page in the Azure portal, under Keys and Endpoint."),
        endpoint=Field(
            Need.REQUIRED, "Endpoint", "The resource's address, without a path.", "https://my-resource.openai.azure.com"
        ),
        connection={
            "deployment": Field(Need.REQUIRED, "Deployment", "The name given to the deployment.", "gpt-4o-prod"),
            "api_version": Field(Need.OPTIONAL, "API version", "As Azure documents them.", "", "2024-10-21"),
        },
        catalog=("azure",),
        examples={_E: "text-embedding-3-large", _G: "gpt-4o"},
    ),
    Provider(
        id="gemini",
        label="Google Gemini",
        routes={_E: Route("gemini/", path="/v1beta"), _G: Route("gemini/", path="/v1beta")},
        api_key=_key("AIza…", "From Google AI Studio."),
        endpoint=_endpoint("https://generativelanguage.googleapis.com"),
        default_endpoint="https://generativelanguage.googleapis.com",
        catalog=("gemini",),
        examples={_E: "gemini-embedding-001", _G: "gemini-2.5-flash"},
    ),
    Provider(
        id="anthropic",
        label="Anthropic",
        routes={_G: Route("anthropic/", cut="/v1")},
        api_key=_key("sk-ant-…", "From console.anthropic.com, under API keys."),
        endpoint=_endpoint("https://api.anthropic.com"),
        default_endpoint="https://api.anthropic.com",
        catalog=("anthropic",),
        examples={_G: "claude-sonnet-4-5"},
    ),
    Provider(
        id="cohere",
        label="Cohere",
        routes={_E: Route("cohere/", path="/v2/embed"), _G: Route("cohere_chat/", path="/v2/chat")},
        api_key=_key("", "From dashboard.cohere.com, under API keys."),
        endpoint=_endpoint("https://api.cohere.com"),
        default_endpoint="https://api.cohere.com",
        catalog=("cohere", "cohere_chat"),
        examples={_E: "embed-multilingual-v3.0", _G: "command-r-plus"},
    ),
    Provider(
        id="deepseek",
        label="DeepSeek",
        routes={_G: Route("deepseek/")},
        api_key=_key("sk-…", "From platform.deepseek.com, under API keys."),
        endpoint=_endpoint("https://api.deepseek.com"),
        default_endpoint="https://api.deepseek.com",
        catalog=("deepseek",),
        examples={_G: "deepseek-chat"},
    ),
    Provider(
        id="qwen",
        label="Qwen (DashScope)",
        routes={_E: Route("dashscope/"), _G: Route("dashscope/")},
        api_key=_key("sk-…", "From Alibaba Cloud's Model Studio, under API keys."),
        endpoint=_endpoint(
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            "Leave empty for the international service. The one in China has a different address.",
        ),
        default_endpoint="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        catalog=("dashscope",),
        examples={_E: "text-embedding-v4", _G: "qwen-plus"},
    ),
    Provider(
        id="mistral",
        label="Mistral",
        routes={_E: Route("mistral/"), _G: Route("mistral/")},
        api_key=_key("", "From console.mistral.ai, under API keys."),
        endpoint=_endpoint("https://api.mistral.ai/v1"),
        default_endpoint="https://api.mistral.ai/v1",
        catalog=("mistral",),
        examples={_E: "mistral-embed", _G: "mistral-large-latest"},
    ),
    Provider(
        id="lmstudio",
        label="LM Studio",
        routes={_E: Route("openai/", path="/v1"), _G: Route("openai/", path="/v1")},
        api_key=_NO_KEY,
        endpoint=_endpoint(
            "http://localhost:1234", "Leave empty for this machine. Behind a LiteLLM proxy: as the proxy reaches it."
        ),
        default_endpoint="http://localhost:1234",
        examples={_E: "text-embedding-nomic-embed-text-v1.5", _G: "qwen/qwen3-4b"},
    ),
    Provider(
        id="openai_compatible",
        label="OpenAI-compatible",
        routes={_E: Route("openai/"), _G: Route("openai/")},
        api_key=Field(Need.OPTIONAL, "API key", "Only if the server asks for one."),
        endpoint=Field(
            Need.REQUIRED, "Endpoint", "Up to where /chat/completions follows.", "https://models.example.com/v1"
        ),
        examples={_E: "bge-m3", _G: "my-model"},
    ),
)

PROVIDERS: dict[str, Provider] = {provider.id: provider for provider in _ALL}


def providers_for(type: ModelType | str) -> list[Provider]:
    """The providers that serve a type, in the catalogue's order."""
    return [provider for provider in PROVIDERS.values() if ModelType(type) in provider.types]


def provider_label(id: str) -> str:
    """A provider's display name; its id if it is no longer in the catalogue."""
    return PROVIDERS[id].label if id in PROVIDERS else id
