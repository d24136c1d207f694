"""The command line: ``python -m registry …``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from registry import crypto
from registry.actors import PEOPLE, Actor, Role
from registry.client import Registry
from registry.errors import RegistryError, SettingsError, StoreError
from registry.passes import LINK_MINUTES, Passes
from registry.records import SyncStep
from registry.settings import Settings
from registry.store import Store

DASHBOARD_DATA = Path(".data")
MOST_MODELS = 100_000
NOT_IN_STEP = 3
COMMAND_LINE = Actor("Command line", Role.ADMIN, via="command line")
LOCAL_NAME = "Local administrator"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done, 1: it failed and standard error says why, 2: wrong usage, 3: see the command's help."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int | None] = options.run
    try:
        return run(options) or 0
    except RegistryError as error:
        print(f"registry: {error.message}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m registry", description="The LLM Model Registry.")
    commands = parser.add_subparsers(required=True, metavar="command")
    migrate = commands.add_parser("migrate", help="set up the store's schema, or bring it up to date")
    migrate.add_argument("--grant", metavar="ROLE", help="PostgreSQL role that the dashboard runs as: gets its rights")
    migrate.set_defaults(run=_migrate)
    verify = commands.add_parser("verify", help="check that no entry of the audit log was altered or removed")
    verify.set_defaults(run=_verify)
    sync = commands.add_parser("sync", help="make the LiteLLM proxy serve what the registry says")
    sync.description = "Ends with 0 when the proxy is in step, with 3 when something is not, and was not mended."
    sync.add_argument("--dry-run", action="store_true", help="only say what would be done")
    sync.set_defaults(run=_sync)
    new_key = commands.add_parser("new-key", help="print a new encryption key for REGISTRY_FERNET_KEYS")
    new_key.set_defaults(run=lambda options: print(crypto.new_key()))
    demo = commands.add_parser("demo", help="fill an empty SQLite store with made-up models and a year of changes")
    demo.add_argument("--models", metavar="N", type=_number, default=0, help="register N more, to try long lists")
    demo.add_argument("--url", help="the store to fill, sqlite:///path; by default the dashboard's own")
    demo.set_defaults(run=_demo)
    link = commands.add_parser("link", help="print a link that signs somebody in on this machine, once")
    link.add_argument("--role", choices=[str(role) for role in PEOPLE], default=str(Role.ADMIN))
    link.add_argument("--name", default=LOCAL_NAME, help="who it is, as the audit log will call them")
    link.add_argument("--port", type=int, default=8501, help="of the dashboard (8501)")
    link.set_defaults(run=_link)
    return parser


def _migrate(options: argparse.Namespace) -> None:
    settings = Settings.from_env()
    if not settings.database_url:
        raise SettingsError("No store is named. Set REGISTRY_DATABASE_URL.")
    with closing(Store(settings.database_url)) as store:
        store.setup()
        if settings.fernet_keys:
            store.adopt(crypto.Keyring([key.get_secret_value() for key in settings.fernet_keys]))
        if options.grant:
            store.grant(options.grant)
    print("The store is up to date.")


def _verify(options: argparse.Namespace) -> None:
    with Registry.connect(Settings.for_dashboard(DASHBOARD_DATA)) as registry:
        report = registry.audit.verify()
    if not report.ok:
        raise StoreError(f"The audit log is intact up to entry {report.checked:,}. {report.reason}")
    print(f"The audit log is intact: {report.checked:,} entries.")


def _sync(options: argparse.Namespace) -> int:
    with Registry.connect(Settings.for_dashboard(DASHBOARD_DATA)) as registry:
        if options.dry_run:
            plan = registry.proxy.plan()
            for step in plan.steps:
                print(_told(step))
            print(f"{plan.in_step} of {plan.models} models are in step.")
            return NOT_IN_STEP if plan.in_step < plan.models or plan.changes else 0
        report = registry.proxy.sync(actor=COMMAND_LINE)
        for step in (*report.applied, *report.foreign):
            print(_told(step))
        for failure in report.failed:
            print(f"not applied: {_told(failure.step)} {failure.message}", file=sys.stderr)
        print(f"{report.in_step} of {report.models} models are in step.")
        return 0 if report.ok else NOT_IN_STEP


def _told(step: SyncStep) -> str:
    return f"{step.reason:<10} {step.alias}{step.name and f' “{step.name}”'}: {step.why}"


def _demo(options: argparse.Namespace) -> None:
    # imported here: the other commands must not pay for it
    from registry import demo

    settings = Settings.from_env() if options.url else Settings.for_dashboard(DASHBOARD_DATA)
    filled = demo.fill(replace(settings, database_url=options.url or settings.database_url), generated=options.models)
    print(
        f"The store holds {filled.models} models, {filled.knowledge_bases} knowledge bases "
        f"and {filled.audit_entries} audit entries, all made up."
    )


def _link(options: argparse.Namespace) -> None:
    settings = Settings.from_env()
    if settings.auth != "local":
        raise SettingsError(f"People sign in by {settings.auth} here (REGISTRY_AUTH); links are for local.")
    passes = Passes(settings.data_dir or DASHBOARD_DATA)
    print(passes.url(Actor(options.name, options.role), options.port))
    print(f"It works once, within {LINK_MINUTES} minutes.", file=sys.stderr)


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MOST_MODELS:
        raise argparse.ArgumentTypeError(f"must be between 0 and {MOST_MODELS:,}")
    return number


if __name__ == "__main__":
    sys.exit(main())
