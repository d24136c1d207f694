"""The LiteLLM proxy that serves the models, for whoever may ask for it: plan, sync, adopt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from registry.actors import BOUND, READERS, Actor, Role, changes, reads
from registry.audit.change import Target, changing
from registry.audit.records import Action, TargetKind
from registry.catalog import arguments
from registry.errors import SettingsError
from registry.proxy.plan import count_behind
from registry.proxy.records import SyncPlan, SyncReport
from registry.proxy.sync import Follower, Progress
from registry.store.store import Store

_UNCONFIGURED = (
    "Models are called at their providers directly. To serve all of them through a LiteLLM proxy, set "
    "LITELLM_PROXY_URL and LITELLM_MASTER_KEY and restart: the models are then registered there, and kept in step with "
    "every change."
)
_UNMANAGED = (
    "but nothing registers the models there. Set LITELLM_MASTER_KEY as well and restart, or register them by hand as "
    "db- and the model's id."
)
_MOST_NAMES = 50


class Proxy:
    """The LiteLLM proxy that serves the models, as ``registry.proxy``."""

    def __init__(
        self, follower: Follower | None, store: Store, actor: Actor | None = None, url: str | None = None
    ) -> None:
        self._follower = follower
        self._why_not = f"KB code is sent to {url}, {_UNMANAGED}" if url else _UNCONFIGURED
        self._store = store
        self.actor = actor

    def __repr__(self) -> str:
        return f"<Proxy of {self._store!r}>"

    @property
    def is_configured(self) -> bool:
        """Whether there is a proxy to keep in step."""
        return self._follower is not None

    @reads(*READERS)
    def plan(self) -> SyncPlan:
        """What a sync would do now. One request, nothing is changed.

        Raises:
            SettingsError: no proxy is configured, or no encryption key.
            ProxyError: it cannot be reached, or refuses the master key.
            DecryptionError: the encryption keys are not those of this store.
        """
        follower = self._ready()
        wanted, tasks = follower.compared()
        steps = tuple(task.step for task in tasks)
        return SyncPlan(follower.url, steps, in_step=len(wanted) - count_behind(steps), models=len(wanted))

    @changes(Role.ADMIN)
    def sync(
        self, *, only: Collection[str] | None = None, progress: Progress | None = None, actor: Actor = BOUND
    ) -> SyncReport:
        """Make the proxy serve what the registry says; where it does already, one request and no change.

        Changes that somebody makes meanwhile are taken along. What cannot be applied does not stop the rest.

        Args:
            only: aliases to see to; all where it is left out.
            progress: called with how many changes are done, and of how many.

        Raises:
            InvalidInputError: an argument is unusable.
            SettingsError: no proxy is configured, or no encryption key.
            ProxyError: it cannot be reached, refuses the master key, or another sync is running.
            DecryptionError: the encryption keys are not those of this store.
        """
        chosen, tell = arguments.texts("only", only), arguments.callback("progress", progress)
        report = self._ready().sync(chosen, tell)
        if report.applied or report.failed:
            self._log(actor, Action.PROXY_SYNC, "LiteLLM proxy", _summary(report))
        return report

    @changes(Role.ADMIN)
    def adopt(self, entry_id: str, *, actor: Actor = BOUND) -> None:
        """Put the model's own entry in the place of one that no registry made; one without a model is removed.

        Raises:
            InvalidInputError: the id is no text.
            NotFoundError: there is no such entry.
            ProxyError: another registry made it, it is not named ``db-…``, or the proxy does not do it.
            SettingsError, DecryptionError: as `sync`.
        """
        alias, name = self._ready().adopt(arguments.text("entry_id", entry_id))
        self._log(actor, Action.PROXY_ADOPT, alias, {"model": name} if name else {})

    def _ready(self) -> Follower:
        if self._follower is None:
            raise SettingsError(self._why_not)
        return self._follower

    def _log(self, actor: Actor, action: Action, name: str, context: Mapping[str, Any]) -> None:
        target = Target(TargetKind.PROXY, self._store.registry_id(), name)
        with changing(self._store, actor) as change:
            change.log(action, target, context=context)


def _summary(report: SyncReport) -> dict[str, Any]:
    """A sync as its audit entry tells it."""
    told = {"applied": dict(Counter(step.reason for step in report.applied))}
    names = [failure.step.name or failure.step.alias for failure in report.failed]
    return {**told, "failed": len(names), "not_applied": names[:_MOST_NAMES]} if names else told
