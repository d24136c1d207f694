"""Registry: connects the parts, and resolves the model to use."""

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

    A bare ``Registry`` is for trusted code in its own process, which names its actor on every change. Pages and routes
    hold only what `acting_as` gives: every call on it, reads included, is checked and filtered by the actor's role.
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
        push = self._follower.push if self._follower else _nowhere
        self.models = Models(store, vault, actor, self._policy, self._follower, push)
        self.knowledge_bases = KnowledgeBases(store, actor)
        self.audit = Audit(store, actor)

    @classmethod
    @forgetful
    def connect(cls, settings: Settings | None = None, *, clock: Clock = utcnow) -> Registry:
        """Connect to the store that the settings name, by default those of the environment.

        An SQLite store that is not there yet is set up, and the dashboard's embedded one brought up to date. All others
        are set up and migrated by ``python -m registry migrate``.

        Raises:
            InvalidInputError: what was passed are no settings.
            SettingsError: no store is named, or a setting is unusable.
            SchemaError: the store is not up to date; the message names the command that mends it.
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
            store.close()  # nobody gets the registry that would close it
            raise
        return cls(settings, store, vault)

    def acting_as(self, actor: Actor) -> Registry:
        """A handle on which everything is done by, checked for and filtered for this actor.

        Raises:
            ForbiddenError: it is no actor, or this handle acts for another one.
        """
        actor = acting(actor)
        if self.actor not in (None, actor):
            raise ForbiddenError("This handle acts for somebody else.")
        return Registry(self._settings, self._store, self._vault, actor, self._api)

    def warm_up(self) -> None:
        """Have what connection tests need loaded beside what goes on here: the first is then as quick as the next."""
        probe.start()

    @reads(*READERS)
    def key_status(self) -> KeyStatus:
        """Whether the configured encryption keys are those of this store, and what to do if not."""
        try:
            with self._store.read() as session:
                self._vault.secret(session)
        except (DecryptionError, SettingsError) as error:
            return KeyStatus(False, error.message)
        return KeyStatus(True)

    @reads(*READERS)
    def key_uses(self) -> tuple[KeyUse, ...]:
        """Which encryption key made how much of what is stored: the configured ones in order, then any others."""
        return rotation.uses(self._store, self._vault)

    @changes(Role.ADMIN)
    def rotate_keys(self, *, progress: rotation.Progress | None = None, actor: Actor = BOUND) -> RotationReport:
        """Encrypt with the first configured key what the others encrypted: API keys and the store's own secret.

        In batches, so that everything keeps running; killed at any point, it goes on when it is called again. No
        model's version changes. A key that cannot be opened is left alone, named in the report, and stops nothing.

        Args:
            progress: called after each batch with the number of API keys done and of those to do.

        Raises:
            SettingsError: no encryption key is configured.
            DecryptionError: the configured keys are not those of this store; nothing was touched.
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
        """The model to use, with its key: a given one, the one that a knowledge base uses, or the default of a type.

        A knowledge base without a model of its own for generation or NER gets the default of that type. For embedding
        it must be bound, since the default may make other vectors than those it holds.

        Args:
            id_or_name: of a model.
            kb: id of a knowledge base; needs ``type``.
            type: of the model; alone, it asks for the default.

        Raises:
            InvalidInputError: the combination of arguments asks for nothing, or one of them is unusable.
            NotFoundError: there is no such model, knowledge base, binding or default.
            InactiveModelError: the model is inactive.
            StoredValueError: what stands in its row cannot be read, or names a provider that is not known.
            UnsafeEndpointError: the outbound policy refuses its endpoint.
            DecryptionError: its key cannot be read, or was entered for another endpoint.
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


def _nowhere(_id: str) -> str:
    """Where there is no proxy, nothing keeps it from following."""
    return ""


def _proxy_api(settings: Settings) -> ProxyApi | None:
    if settings.litellm_proxy_url and settings.litellm_master_key:
        return ProxyApi(settings.litellm_proxy_url, settings.litellm_master_key)
    return None
