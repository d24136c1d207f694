"""The result of resolving: a model with its key, and LiteLLM's arguments to call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from registry.catalog.providers import PROVIDERS
from registry.proxy.records import alias_of
from registry.records import Model
from registry.secrecy import Unpickled, forgetful


@dataclass(frozen=True, slots=True)
class ResolvedModel(Unpickled):
    """The model to use, with its key. Only ``get_secret_value()`` reveals the key."""

    model: Model
    api_key: SecretStr | None
    proxy_url: str | None = None
    proxy_key: SecretStr | None = None

    @forgetful
    def litellm_params(self) -> dict[str, Any]:
        """Arguments for ``litellm.completion`` or ``litellm.embedding``: ``model``, ``api_base``, ``api_key`` and the
        provider's other fields. They call the LiteLLM proxy if one is configured, else the provider.

        The mapping holds the key in clear: pass it on, do not log it.
        """
        if self.proxy_url:
            key = self.proxy_key.get_secret_value() if self.proxy_key else "none"
            return {"model": f"openai/{alias_of(self.model.id)}", "api_base": self.proxy_url, "api_key": key}
        model = self.model
        return PROVIDERS[model.provider].litellm_params(
            model.type, model.model_id, model.api_endpoint, model.connection, self.api_key
        )
