"""Calls functions in separate processes, each forked from a warm one that has loaded what they need.

A call cannot block or affect the host: it has a time limit and a memory limit, does not see the host's environment, and
its output is discarded. On systems without fork, each call starts a new process, which takes seconds longer.

Arguments and results are JSON: a call that untrusted input has compromised gains no access to this process.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing import spawn
from pathlib import Path
from typing import Any, BinaryIO, Final

from registry.store import forks

AT_ONCE: Final = 8
"""The number of concurrent calls; further ones wait."""
IDLE_SECONDS: Final = 900
"""Seconds without a call after which the warm process ends and frees its memory."""
MEMORY: Final = 512 * 1024 * 1024
"""Bytes that a call can use beyond those of the warm process."""
MOST_SAID: Final = 1024 * 1024
"""The most bytes that are read from a call."""

Say = Callable[[Any], None]
"""Sends a JSON value to the caller immediately."""

_CAN_FORK: Final = hasattr(os, "fork") and hasattr(socket, "send_fds")
_START_SECONDS: Final = 60.0  # to load, on a busy machine
_GRACE: Final = 5.0  # seconds, for what a call does besides waiting for others
_READY: Final = b"ready\n"
_NOT_STARTED: Final = "The process for connection tests does not start."
_KEPT: Final = ("PATH", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT", "SSL_CERT_FILE", "SSL_CERT_DIR")
_BOOT: Final = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from registry.probe import process; process."


@dataclass(frozen=True, slots=True)
class Said:
    """The values that a call sent, in order, and whether it ran to its end."""

    values: tuple[Any, ...]
    is_whole: bool


class Warm(forks.Watcher):
    """A process that has loaded what calls need. It starts with the first call. Safe to use from several threads and,
    after a fork, from several processes.

    Args:
        load: ``module:function``, which loads it and returns an iterator, whose steps run while no call is waiting.
        variables: the environment of the calls, besides the paths of programs and certificates.
    """

    def __init__(self, load: str, variables: Mapping[str, str]) -> None:
        self._load = load
        self._variables = variables
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._renew()
        forks.watch(self)
        atexit.register(self.close)

    def start(self) -> None:
        """Start the warm process in the background, or start it again if it has ended, so that the next call finds it
        loaded."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        with suppress(OSError):  # the call will raise it
            if _CAN_FORK:
                self._started()

    def call(self, function: str, argument: Any, seconds: float) -> Said:
        """Call a function, and end it if it takes longer than ``seconds``.

        Args:
            function: ``module:function``; it takes the argument and a `Say`.
            argument: a JSON value.

        Raises:
            ChildProcessError: the warm process does not start, or cannot load.
        """
        try:
            return self._called(function, argument, seconds)
        except ChildProcessError:
            raise
        except OSError:  # the system has no file, memory or process left
            raise ChildProcessError(_NOT_STARTED) from None

    def _called(self, function: str, argument: Any, seconds: float) -> Said:
        asked = json.dumps({"function": function, "argument": argument, "seconds": seconds + _GRACE}).encode() + b"\n"
        with self._turns:
            return self._asked(asked, seconds) if _CAN_FORK else self._begun(asked, seconds)

    def close(self) -> None:
        """End the warm process; the next call starts a new one."""
        with self._lock:
            control, self._control = self._control, None
            process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()  # it can be loading, or connected to a fork of ours; running calls go on by themselves
            process.wait()

    def after_fork_in_child(self) -> None:
        """Use the parent's warm process too, but do not wait for its end: it is not our child."""
        if self._process is not None:
            self._process.returncode = 0
        self._process = None
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def _asked(self, asked: bytes, seconds: float) -> Said:
        for _ in range(2):  # the warm process can have ended when idle, or been killed
            control = self._started()
            with _handed_over(control) as link:
                if _is_ready(link):
                    link.sendall(asked)
                    return _heard(link, time.monotonic() + seconds + _GRACE + 1)
            self._forget(control)
        raise ChildProcessError(_NOT_STARTED)

    def _started(self) -> socket.socket:
        with self._lock:
            if self._control is None:
                ours, theirs = socket.socketpair()
                with ExitStack() as on_failure, theirs:
                    on_failure.callback(ours.close)
                    self._process = self._run(f"serve({theirs.fileno()}, {self._load!r})", pass_fds=[theirs.fileno()])
                    on_failure.pop_all()
                self._control = ours
            return self._control

    def _forget(self, control: socket.socket) -> None:
        with self._lock:
            if self._control is not control:
                return
        self.close()

    def _begun(self, asked: bytes, seconds: float) -> Said:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with self._run(f"serve_once({self._load!r})", **pipes) as process:
            try:
                said, _ = process.communicate(asked, _START_SECONDS + seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
        ready, _, rest = said.partition(_READY)
        if ready or not said:
            raise ChildProcessError(_NOT_STARTED)
        return _read(rest)

    def _run(self, what: str, **options: Any) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
        command = [spawn.get_executable(), "-I", "-c", _BOOT + what, path]
        nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        given: dict[str, Any] = {
            "env": {**kept, **self._variables},
            "cwd": Path(os.sep).absolute(),
            "start_new_session": True,  # Ctrl+C at the console must not reach it
            **nowhere,
            **options,
        }
        process: subprocess.Popen[bytes] = subprocess.Popen(command, **given)  # noqa: S603 -- this Python, our own text
        return process


def serve(control: int, load: str) -> None:
    """In the warm process: load, then fork for each link received, until the host has gone or the process is idle."""
    os.nice(10)  # the host has priority
    with socket.socket(fileno=control) as asking:
        steps = _function(load)()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no process waits for that of a call
        while True:
            while not _is_asked(asking, 0) and next(steps, "end") != "end":
                pass
            gc.collect()
            gc.freeze()
            if not _is_asked(asking, IDLE_SECONDS):
                return
            _, links, _, _ = socket.recv_fds(asking, 1, 1)
            if not links:
                return
            if not os.fork():
                asking.close()
                _answer_and_end(links[0])
            os.close(links[0])


def serve_once(load: str) -> None:
    """In a separate process: load, and answer one request on standard input."""
    with os.fdopen(os.dup(1), "wb") as said, Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        _function(load)()
        _answer(sys.stdin.buffer, said)


def _is_asked(asking: socket.socket, seconds: float) -> bool:
    return bool(select.select([asking], [], [], seconds)[0])


def _answer_and_end(link: int) -> None:
    """The whole life of a call's process. It skips the exit handlers that it shares with the warm process."""
    with suppress(BaseException), socket.socket(fileno=link) as connected:
        _answer(connected.makefile("rb"), connected.makefile("wb"))
    os._exit(0)


def _answer(asking: BinaryIO, said: BinaryIO) -> None:
    room = MOST_SAID

    def say(value: Any) -> None:
        nonlocal room
        line = json.dumps({"said": value}).encode() + b"\n"
        room -= len(line)
        if room < 0:
            raise ValueError("Too much.")
        said.write(line)
        said.flush()

    said.write(_READY)
    said.flush()
    asked = json.loads(asking.readline())
    _limit(asked["seconds"])
    _function(asked["function"])(asked["argument"], say)
    said.write(b"{}\n")
    said.flush()


def _limit(seconds: float) -> None:
    """Have the system end this process after this time, and limit its memory to `MEMORY`."""
    try:
        import resource
    except ImportError:  # Windows: the caller ends it instead
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # there is no /proc, or the limit is lower already
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _handed_over(control: socket.socket) -> socket.socket:
    """Our end of a new link; the other end is sent to the warm process, if it still runs."""
    ours, theirs = socket.socketpair()
    with theirs, suppress(OSError):
        socket.send_fds(control, [b"."], [theirs.fileno()])
    return ours


def _is_ready(link: socket.socket) -> bool:
    link.settimeout(_START_SECONDS)
    try:
        return link.recv(len(_READY), socket.MSG_WAITALL) == _READY
    except OSError:
        return False


def _heard(link: socket.socket, end: float) -> Said:
    whole = b""
    with suppress(OSError):
        while len(whole) <= MOST_SAID:
            link.settimeout(max(0.001, end - time.monotonic()))
            part = link.recv(65536)
            if not part:
                break
            whole += part
    return _read(whole)


def _read(said: bytes) -> Said:
    lines = said[:MOST_SAID].split(b"\n")[:-1]
    try:
        values = [json.loads(line) for line in lines]
        is_whole = bool(values) and values[-1] == {}
        return Said(tuple(value["said"] for value in values[: len(values) - is_whole]), is_whole)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Said((), False)
