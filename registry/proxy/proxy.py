"""The LiteLLM proxy that serves the models, as ``registry.proxy``: plan, sync, adopt, with role checks."""

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
        """What a sync would do now. Sends one request and changes nothing.

        Raises:
            SettingsError: no proxy is configured, or no encryption key.
            ProxyError: the proxy cannot be reached, or refuses the master key.
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
        """Make the proxy serve the registered models. If it does already, one request is sent and nothing changes.

        Changes that users make during the sync are included. A step that fails does not stop the others.

        Args:
            only: the aliases to sync; all by default.
            progress: called with the number of changes done, and the total.

        Raises:
            InvalidInputError: an argument is invalid.
            SettingsError: no proxy is configured, or no encryption key.
            ProxyError: the proxy cannot be reached, refuses the master key, or another sync is running.
            DecryptionError: the encryption keys are not those of this store.
        """
        chosen, callback = arguments.texts("only", only), arguments.callback("progress", progress)
        report = self._ready().sync(chosen, callback)
        if report.applied or report.failed:
            self._log(actor, Action.PROXY_SYNC, "LiteLLM proxy", _summary(report))
        return report

    @changes(Role.ADMIN)
    def adopt(self, entry_id: str, *, actor: Actor = BOUND) -> None:
        """Replace an entry that no registry made by the model's own entry; remove it if it has no model.

        Raises:
            InvalidInputError: the id is not a text.
            NotFoundError: there is no such entry.
            ProxyError: another registry made it, its model cannot be registered, or the proxy refuses.
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
    """The context of a sync's audit entry."""
    applied = {"applied": dict(Counter(step.reason for step in report.applied))}
    names = [failure.step.name or failure.step.alias for failure in report.failed]
    return {**applied, "failed": len(names), "not_applied": names[:_MOST_NAMES]} if names else applied
