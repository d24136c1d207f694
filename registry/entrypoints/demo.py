"""A realistic demo registry for trials and screenshots: models, knowledge bases, and a year of changes to them.

Made-up users make all changes through the public library, on a simulated clock that ends at the present. The changes
are the same in each run; ids and API keys are new, and no provider knows those keys.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random

from registry.actors import Actor, Role
from registry.audit.records import AuditPage
from registry.catalog.known import known_models
from registry.catalog.providers import PROVIDERS, Need, Provider, providers_for
from registry.client import Registry
from registry.entrypoints.demo_data import BASES, CLUSTER, MODELS, TUNED, Row
from registry.errors import SettingsError
from registry.models.knowledge_bases import KEEP, Choice
from registry.records import Model, ModelType, Status
from registry.settings import Settings
from registry.store.store import utcnow

DAYS = 365
ADMINISTRATORS = tuple(
    Actor(f"{name}@example.com", Role.ADMIN, via="oidc")
    for name in ("m.okafor", "j.lindqvist", "s.tanaka", "r.almeida")
)
INGESTION = Actor("kb-ingestion", Role.SERVICE, via="library")

Chapter = tuple[int, Callable[["_Story"], object]]

_TURNS: tuple[Chapter, ...] = (
    (1, lambda story: story.default("OpenAI ada 002", "GPT-4o", "Entities, GPT-4o mini")),
    (88, lambda story: story.no_default("embedding")),
    (90, lambda story: story.default("OpenAI embeddings, large")),
    (98, lambda story: story.bind("Contracts", "OpenAI embeddings, large", reindexed=True)),
    (100, lambda story: story.bind("Product manuals", "OpenAI embeddings, large", reindexed=True)),
    (104, lambda story: story.bind("Support tickets", "OpenAI embeddings, small", reindexed=True)),
    (105, lambda story: story.status("OpenAI ada 002", Status.DEPRECATED)),
    (130, lambda story: story.delete("GPT-3.5 Turbo", reassign_to="GPT-4o mini")),
    (137, lambda story: story.forget("Chat pilot")),
    (215, lambda story: story.default("GPT-4.1")),
    (275, lambda story: story.status("Qwen3 in LM Studio", Status.INACTIVE)),
    (280, lambda story: story.status("DeepSeek chat", Status.INACTIVE)),
    (300, lambda story: story.bind("Contracts", generation="GPT-4.1")),
    (310, lambda story: story.status("Nomic on Ollama", Status.DEPRECATED)),
    (330, lambda story: story.status("Command R+", Status.DEPRECATED)),
    (345, lambda story: story.default("Entities, Claude Haiku")),
)


@dataclass(frozen=True, slots=True)
class Filled:
    """The numbers of records in the filled store."""

    models: int
    knowledge_bases: int
    audit_entries: int


def fill(settings: Settings, *, generated: int = 0) -> Filled:
    """Fill an empty SQLite store.

    Args:
        generated: the number of further models to register, to try long lists.

    Raises:
        SettingsError: a proxy is configured, on which models would be registered that do not exist; the store is not
            SQLite, or not empty; or the encryption keys are missing, or not those of the store.
    """
    if settings.litellm_proxy_url:
        raise SettingsError(
            "The demo's models do not exist and would be registered on the proxy: unset LITELLM_PROXY_URL."
        )
    if not settings.database_url.startswith("sqlite"):
        raise SettingsError("The demo fills an empty SQLite store only, such as --url sqlite:///demo.db.")
    settings.require_keys()
    clock = _Clock(utcnow())
    with Registry.connect(settings, clock=clock) as registry:
        _refuse_what_is_in_use(registry)
        _run(_Story(registry, clock), clock, generated)
        entries = registry.audit.find(limit=1).entries[0].seq
        return Filled(len(registry.models.find()), len(registry.knowledge_bases.find()), entries)


def _refuse_what_is_in_use(registry: Registry) -> None:
    if (
        registry.models.counts()
        or registry.knowledge_bases.find()
        or registry.audit.find(limit=1) != AuditPage((), None)
    ):
        raise SettingsError("The store is not empty, and nothing in it was changed. Name a new file with --url.")
    keys = registry.key_status()
    if not keys.ok:
        raise SettingsError(keys.message)


class _Clock:
    def __init__(self, now: datetime) -> None:
        self.end = self.now = now

    def __call__(self) -> datetime:
        return self.now


def _run(story: _Story, clock: _Clock, generated: int) -> None:
    """Run each chapter on its day or the next working day, with routine changes in between and two in the last hour."""
    midnight = clock.end.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    clock.now = midnight + timedelta(hours=6)
    for number in range(generated):
        story.generate(number)
    chapters = sorted((*_registrations(), *_bindings(), *_TURNS), key=lambda chapter: chapter[0])
    for day in range(DAYS):
        morning = midnight + timedelta(days=day, hours=8)
        if morning.weekday() >= 5:
            continue
        clock.now = morning + timedelta(minutes=story.random.randrange(90))
        while chapters and chapters[0][0] <= day:
            story.later(minutes=30)
            story.resume()
            chapters.pop(0)[1](story)
        if story.random.random() < 0.6:
            story.later(minutes=240)
            story.routine()
    for minutes in (47, 12):
        clock.now = clock.end - timedelta(minutes=minutes)
        story.tune()


def _registrations() -> list[Chapter]:
    return [(day, partial(_Story.register, name=name, row=row)) for day, name, row in MODELS]


def _bindings() -> list[Chapter]:
    return [
        (day, partial(_Story.bind, name=name, embedding=embedding, generation=generation, ner=ner))
        for day, name, embedding, generation, ner in BASES
    ]


class _Story:
    """The events of the demo: each method is an action of a user."""

    def __init__(self, registry: Registry, clock: _Clock) -> None:
        self.registry = registry
        self.clock = clock
        self.random = Random(11)  # noqa: S311  # only for made-up events, not for secrets
        self._names: list[str] = []
        self._paused: str | None = None

    def later(self, *, minutes: int) -> None:
        self.clock.now += timedelta(seconds=self.random.randrange(60, minutes * 60))

    def register(self, name: str, row: Row) -> None:
        self._create(name, row)
        self._names.append(name)

    def generate(self, number: int) -> None:
        self.clock.now += timedelta(milliseconds=10)
        kind, provider = _SERVED[number % len(_SERVED)]
        known = known_models(kind, provider.id)
        chosen = self.random.choice(known) if known else None
        row = {
            "type": kind,
            "provider": provider.id,
            "model_id": chosen.model_id if chosen else f"model-{number}",
            "api_endpoint": provider.default_endpoint or CLUSTER["api_endpoint"],
            "connection": {name: "x" for name, field in provider.connection.items() if field.need is Need.REQUIRED},
            "config": {**_COMPLETION[kind], **(chosen.config if chosen else {})},
            "status": self.random.choices(list(Status), (8, 1, 1))[0],
        }
        self._create(f"{provider.label} {kind} {number + 1:05}", row)

    def bind(
        self,
        name: str,
        embedding: Choice = KEEP,
        generation: Choice = KEEP,
        ner: Choice = KEEP,
        *,
        reindexed: bool = False,
    ) -> None:
        self.registry.knowledge_bases.bind(
            _id(name),
            name=name,
            embedding=embedding,
            generation=generation,
            ner=ner,
            reindexed=reindexed,
            actor=INGESTION,
        )

    def forget(self, name: str) -> None:
        self.registry.knowledge_bases.remove(_id(name), actor=INGESTION)

    def default(self, *names: str) -> None:
        for name in names:
            self.registry.models.set_default(name, actor=self._administrator())

    def no_default(self, type: str) -> None:
        self.registry.models.clear_default(type, actor=self._administrator())

    def status(self, name: str, status: Status) -> None:
        self.registry.models.set_status(name, status, actor=self._administrator())

    def delete(self, name: str, *, reassign_to: str) -> None:
        self.registry.models.delete(name, reassign_to=reassign_to, actor=self._administrator())
        self._names.remove(name)

    def routine(self) -> None:
        self.random.choices((self.tune, self.change_key, self.rebind, self.pause), (5, 2, 1.5, 1))[0]()

    def tune(self) -> None:
        model = self._one_in_use()
        name = self.random.choice([name for name in TUNED if name in model.config])
        value = self.random.choice([value for value in TUNED[name] if value != model.config[name]])
        self._update(model, {"config": {name: value}})

    def change_key(self) -> None:
        model = self._one_in_use()
        if model.has_api_key:
            self._update(model, {"api_key": _made_up_key(PROVIDERS[model.provider])})

    def rebind(self) -> None:
        base = self.random.choice(self.registry.knowledge_bases.find())
        model = self._one_in_use()
        if model.type is ModelType.GENERATION:
            self.bind(base.name, generation=model.id)

    def pause(self) -> None:
        """Deactivate a model, or activate the one that was deactivated before."""
        if self._paused is not None:
            self.resume()
            return
        model = self._one_in_use()
        if not model.is_default:
            self._paused = model.name
            self.status(model.name, Status.INACTIVE)

    def resume(self) -> None:
        if self._paused is not None:
            self.status(self._paused, Status.ACTIVE)
            self._paused = None

    def _create(self, name: str, row: Row) -> None:
        key = _made_up_key(PROVIDERS[row["provider"]])
        self.registry.models.create({"name": name, "api_key": key, **row}, actor=self._administrator())

    def _one_in_use(self) -> Model:
        while True:
            model = self.registry.models.get(self.random.choice(self._names))
            if model.status is Status.ACTIVE:
                return model

    def _update(self, model: Model, edit: Row) -> None:
        self.registry.models.update(model.id, edit, version=model.version, actor=self._administrator())

    def _administrator(self) -> Actor:
        return self.random.choices(ADMINISTRATORS, (6, 3, 2, 1))[0]


_COMPLETION: dict[ModelType, Row] = {
    ModelType.EMBEDDING: {"dimensions": 768, "max_tokens": 512},
    ModelType.GENERATION: {"context_window": 2_097_152, "max_output_tokens": 1024},
    ModelType.NER: {"max_tokens": 4096},
}
_SERVED = [(kind, provider) for kind in ModelType for provider in providers_for(kind)]


def _id(name: str) -> str:
    return "kb-" + name.lower().replace(" ", "-")


def _made_up_key(provider: Provider) -> str | None:
    return f"demo-{secrets.token_hex(20)}" if provider.api_key.need is Need.REQUIRED else None
