"""The command line: ``python -m registry …``."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from registry.actors import PEOPLE, Actor, Role
from registry.client import Registry
from registry.errors import DecryptionError, RegistryError, SettingsError, StoreError
from registry.keys import keyring
from registry.keys.passes import LINK_MINUTES, Passes
from registry.keys.records import KeyUse
from registry.keys.vault import Vault
from registry.proxy.records import SyncStep
from registry.settings import Settings
from registry.store.store import Store

DASHBOARD_DATA = Path(".data")
MOST_MODELS = 100_000
NOT_IN_STEP = 3
LOCAL_NAME = "Local administrator"
MOST_NAMES = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done, 1: failed, see standard error, 2: wrong usage, 3: see the command's help."""
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
    sync = commands.add_parser("sync", help="make the LiteLLM proxy serve the registered models")
    sync.description = "Exits with 0 if the proxy is in step, with 3 if a difference is left."
    sync.add_argument("--dry-run", action="store_true", help="only print what would be done")
    sync.set_defaults(run=_sync)
    new_key = commands.add_parser("new-key", help="print a new encryption key for REGISTRY_FERNET_KEYS")
    new_key.set_defaults(run=lambda options: print(keyring.new_key()))
    check_keys = commands.add_parser("check-keys", help="check the encryption keys, and which can be removed")
    check_keys.set_defaults(run=_check_keys)
    rotate_keys = commands.add_parser("rotate-keys", help="encrypt all stored API keys with the first encryption key")
    rotate_keys.set_defaults(run=_rotate_keys)
    demo = commands.add_parser("demo", help="fill an empty SQLite store with made-up models and a year of changes")
    demo.add_argument("--models", metavar="N", type=_number, default=0, help="register N more, to try long lists")
    demo.add_argument("--url", help="the store to fill, sqlite:///path; by default the dashboard's own")
    demo.set_defaults(run=_demo)
    link = commands.add_parser("link", help="print a one-time link that signs a user in on this machine")
    link.add_argument("--role", choices=[str(role) for role in PEOPLE], default=str(Role.ADMIN))
    link.add_argument("--name", default=LOCAL_NAME, help="the user's name in the audit log")
    link.add_argument("--port", type=int, default=8501, help="of the dashboard (8501)")
    link.set_defaults(run=_link)
    return parser


def _migrate(options: argparse.Namespace) -> None:
    settings = Settings.from_env()
    if not settings.database_url:
        raise SettingsError("No store is named. Set REGISTRY_DATABASE_URL.")
    with closing(Store(settings.database_url)) as store:
        store.setup()
        keys = [key.get_secret_value() for key in settings.fernet_keys]
        Vault(keyring.Keyring(keys) if keys else None).adopt(store)
        if options.grant:
            store.grant(options.grant)
    print("The store is up to date.")


def _verify(options: argparse.Namespace) -> None:
    with Registry.connect(Settings.for_dashboard(DASHBOARD_DATA)) as registry:
        report = registry.audit.verify()
    if not report.ok:
        raise StoreError(f"The audit log is intact up to entry {report.checked:,}. {report.reason}")
    print(f"The audit log is intact: {report.checked:,} entries.")
    if report.checked:
        print(f"Note outside the database: entry {report.checked}, hash {report.head}")


def _sync(options: argparse.Namespace) -> int:
    with Registry.connect(Settings.for_dashboard(DASHBOARD_DATA)) as registry:
        if options.dry_run:
            plan = registry.proxy.plan()
            for step in plan.steps:
                print(_step_line(step))
            print(f"{plan.in_step} of {plan.models} models are in step.")
            return NOT_IN_STEP if plan.in_step < plan.models or plan.changes else 0
        report = registry.proxy.sync(actor=_me())
        for step in (*report.applied, *report.foreign):
            print(_step_line(step))
        for failure in report.failed:
            print(f"not applied: {_step_line(failure.step)} {failure.message}", file=sys.stderr)
        print(f"{report.in_step} of {report.models} models are in step.")
        return 0 if report.ok else NOT_IN_STEP


def _step_line(step: SyncStep) -> str:
    return f"{step.reason:<10} {step.alias}{step.name and f' “{step.name}”'}: {step.why}"


def _check_keys(options: argparse.Namespace) -> None:
    with Registry.connect(Settings.for_dashboard(DASHBOARD_DATA)) as registry:
        status, uses = registry.key_status(), registry.key_uses()
    for use in uses:
        print(_use_line(use))
    if not status.ok:
        raise DecryptionError(status.message)
    missing = sum(use.api_keys for use in uses if use.position is None)
    if missing:
        raise DecryptionError(
            f"No configured key opens {_api_keys(missing)}. Add the missing keys to REGISTRY_FERNET_KEYS; if they are "
            "lost, run rotate-keys, which names the models, and enter their API keys again."
        )


def _use_line(use: KeyUse) -> str:
    """A key of the ring as a line, such as ``Key 2 (9c1185a5c5e9): nothing; it can be removed``."""
    made = [_api_keys(use.api_keys)] if use.api_keys else []
    made += ["the store's own secret"] if use.store_secret else []
    place = f"Key {use.position}" if use.position else "Not configured"
    spare = "; it can be removed" if not made and use.position != 1 else ""
    return f"{place} ({use.key_id}): {' and '.join(made) or 'nothing'}{spare}"


def _rotate_keys(options: argparse.Namespace) -> None:
    with Registry.connect(Settings.for_dashboard(DASHBOARD_DATA)) as registry:
        report = registry.rotate_keys(actor=_me(), progress=_show_progress if sys.stdout.isatty() else None)
    print(f"Encrypted again: {_api_keys(report.rotated)}.")
    if report.unreadable:
        names = ", ".join(f"“{name}”" for name in report.unreadable[:MOST_NAMES])
        more = f" and {len(report.unreadable) - MOST_NAMES:,} more" if len(report.unreadable) > MOST_NAMES else ""
        raise DecryptionError(
            f"No configured key opens the API keys of {names}{more}; they were left unchanged. Add the key that they "
            "were encrypted with to REGISTRY_FERNET_KEYS and run this again, or enter these API keys again."
        )


def _me() -> Actor:
    """The user who runs the command, by the name in the operating system."""
    try:
        name = getpass.getuser()
    except (ImportError, KeyError, OSError):  # in a container a user need not have a name
        name = "unnamed"
    return Actor(name, Role.ADMIN, via="command line")


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done:,} of {_api_keys(total)}", end="" if done < total else "\n", flush=True)


def _api_keys(number: int) -> str:
    return f"{number:,} API key{'' if number == 1 else 's'}"


def _demo(options: argparse.Namespace) -> None:
    # imported here: the other commands must not pay for it
    from registry.entrypoints import demo

    settings = Settings.from_env() if options.url else Settings.for_dashboard(DASHBOARD_DATA)
    filled = demo.fill(settings.replace(database_url=options.url or settings.database_url), generated=options.models)
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
