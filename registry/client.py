"""`Registry`, the entry point of the library: connects the parts and resolves models."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from registry.actors import BOUND, READERS, Actor, Role, acting, changes, reads
from registry.audit.audit import Audit
from registry.catalog import arguments
from registry.catalog.arguments import KnowledgeBaseRef, ModelRef
from registry.catalog.egress import Policy
from registry.errors import (
    DecryptionError,
    ForbiddenError,
    InvalidInputError,
    SettingsError,
)
from registry.keys import rotation
from registry.keys.keyring import Keyring
from registry.keys.records import KeyStatus, KeyUse, RotationReport
from registry.keys.vault import Vault
from registry.models.knowledge_bases import KnowledgeBases
from registry.models.models import Models
from registry.probe import probe
from registry.proxy.admin import ProxyApi
from registry.proxy.proxy import Proxy
from registry.proxy.sync import Follower
from registry.records import ModelType
from registry.resolve.answer import ResolvedModel
from registry.resolve.resolver import Resolver
from registry.secrecy import Unpickled, forgetful
from registry.settings import Settings
from registry.store.store import Clock, Store, utcnow


class Registry(Unpickled):
    """The registry of models.

    A bare ``Registry`` is for trusted code in its own process, which passes an actor with every change. Pages and
    routes use only the handle that `acting_as` returns: it checks and filters every call, reads included, by role.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        vault: Vault,
        actor: Actor | None = None,
        api: ProxyApi | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._vault = vault
        self._api = api or _proxy_api(settings)
        self._policy = Policy(settings.endpoint_allow, settings.endpoint_deny)
        self._follower = Follower(store, vault, self._policy, self._api) if self._api else None
        self.actor = actor
        self._resolver = Resolver(store, vault, self._policy, settings)
        self.proxy = Proxy(self._follower, store, actor, settings.litellm_proxy_url)
        push = self._follower.push if self._follower else _no_push
        self.models = Models(store, vault, actor, self._policy, self._follower, push)
        self.knowledge_bases = KnowledgeBases(store, actor)
        self.audit = Audit(store, actor)

    @classmethod
    @forgetful
    def connect(cls, settings: Settings | None = None, *, clock: Clock = utcnow) -> Registry:
        """Connect to the store that the settings name; by default, the settings come from the environment.

        A missing SQLite store is created, and the dashboard's embedded one is migrated. All others are created and
        migrated by ``python -m registry migrate``.

        Raises:
            InvalidInputError: ``settings`` is not a `Settings`, or ``clock`` not a function.
            SettingsError: no store is named, or a setting is unusable.
            SchemaError: the store is not up to date; the message names the command that updates it.
            StoreError: the store cannot be reached.
        """
        settings = Settings.from_env() if settings is None else settings
        if not isinstance(settings, Settings):
            raise InvalidInputError({"settings": "Must be Settings(database_url=…); left out, the environment counts."})
        if not settings.database_url:
            raise SettingsError("No store is named. Set REGISTRY_DATABASE_URL, or pass Settings(database_url=…).")
        clock = arguments.callback("clock", clock) or utcnow
        keys = [key.get_secret_value() for key in settings.fernet_keys]
        vault = Vault(Keyring(keys) if keys else None)
        store = Store(settings.database_url, clock=clock)
        try:
            if store.is_empty_file() or settings.embedded:
                store.setup()
            store.check()
            if store.is_sqlite:
                vault.adopt(store)
        except BaseException:
            store.close()  # no registry is returned that could close it
            raise
        return cls(settings, store, vault)

    def acting_as(self, actor: Actor) -> Registry:
        """A handle that acts as this actor: it checks and filters every call by the actor's role.

        Raises:
            ForbiddenError: ``actor`` is not an `Actor`, or this handle already acts for another one.
        """
        actor = acting(actor)
        if self.actor not in (None, actor):
            raise ForbiddenError("This handle acts for another actor. Use one that acting_as gave for yours.")
        return Registry(self._settings, self._store, self._vault, actor, self._api)

    def warm_up(self) -> None:
        """Load in the background what connection tests need, so that the first test is as fast as later ones."""
        probe.start()

    @reads(*READERS)
    def key_status(self) -> KeyStatus:
        """Whether the configured encryption keys belong to this store, and what to do if they do not."""
        try:
            with self._store.read() as session:
                self._vault.secret(session)
        except (DecryptionError, SettingsError) as error:
            return KeyStatus(False, error.message)
        return KeyStatus(True)

    @reads(*READERS)
    def key_uses(self) -> tuple[KeyUse, ...]:
        """How many stored secrets each encryption key encrypted: the configured keys in order, then any others."""
        return rotation.uses(self._store, self._vault)

    @changes(Role.ADMIN)
    def rotate_keys(self, *, progress: rotation.Progress | None = None, actor: Actor = BOUND) -> RotationReport:
        """Re-encrypt stored API keys and the store's own secret with the first configured key, without downtime.

        Works in batches. A run that was killed can be repeated and continues where it stopped. No model's version
        changes. An API key that no configured key decrypts is left unchanged and its model named in the report.

        Args:
            progress: called after each batch with the number of API keys done, and the total to do.

        Raises:
            SettingsError: no encryption key is configured.
            DecryptionError: the configured keys are not those of this store; nothing was changed.
        """
        return rotation.rotate(self._store, self._vault, actor, arguments.callback("progress", progress))

    @reads(Role.ADMIN, Role.SERVICE)
    def resolve(
        self,
        id_or_name: ModelRef | None = None,
        *,
        kb: KnowledgeBaseRef | None = None,
        type: ModelType | str | None = None,
    ) -> ResolvedModel:
        """Return the model to use, with its key: a given one, the one bound to a knowledge base, or a type's default.

        A knowledge base with no generation or NER model bound gets the default of that type. An embedding model must
        be bound: the default can produce vectors that do not match those the knowledge base stores.

        Args:
            id_or_name: of a model.
            kb: id of a knowledge base; needs ``type``.
            type: of the model; alone, it selects the default.

        Raises:
            InvalidInputError: the combination of arguments selects nothing, or an argument is invalid.
            NotFoundError: there is no such model, knowledge base, binding or default.
            InactiveModelError: the model is inactive.
            StoredValueError: the model's row cannot be read, or names an unknown provider.
            UnsafeEndpointError: the outbound policy refuses the model's endpoint.
            DecryptionError: the model's key cannot be decrypted, or was entered for another endpoint.
        """
        return self._resolver.resolve(id_or_name, kb, type)

    def close(self) -> None:
        """Close the connections to the store and the proxy."""
        self._store.close()
        if self._api is not None:
            self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        acting = f" acting as {self.actor.name} ({self.actor.role})" if self.actor else ""
        return f"<Registry on {self._store!r}{acting}>"


def _no_push(_id: str) -> str:
    """The push without a proxy: it does nothing and never fails."""
    return ""


def _proxy_api(settings: Settings) -> ProxyApi | None:
    if settings.litellm_proxy_url and settings.litellm_master_key:
        return ProxyApi(settings.litellm_proxy_url, settings.litellm_master_key)
    return None
