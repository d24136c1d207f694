"""Calls in processes of their own: whatever they do, they hold no one up and leave nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from registry.probe import process
from registry.probe.process import Said, Say, Warm

HERE = __name__
ROOT = Path(__file__).parents[3]


def load() -> Iterator[None]:
    """Nothing has to be loaded but this file."""
    yield


def echo(argument: Any, say: Say) -> None:
    """Say what was given, and where."""
    os.write(1, b"to nobody")
    os.write(2, b"to nobody")
    say(argument)
    say({"pid": os.getpid(), "parent": os.getppid(), "environment": dict(os.environ), "folder": str(Path.cwd())})


def spin(_: Any, say: Say) -> None:
    """Take for ever, without letting another thread in."""
    say("begun")
    re.match(r"(a+)+$", "a" * 60 + "b")


def devour(_: Any, say: Say) -> None:
    """Take all memory."""
    say("begun")
    say(len("x" * (2 * process.MEMORY)))


def fail(_: Any, say: Say) -> None:
    """End in an error."""
    say("begun")
    raise RuntimeError("of no interest")


def flood(_: Any, say: Say) -> None:
    """Say more than anybody wants to hear."""
    while True:
        say("x" * 100_000)


def vanish(_: Any, say: Say) -> None:
    """Take the warm process along."""
    os.kill(os.getppid(), signal.SIGKILL)
    say("gone")


def load_for_ever() -> Iterator[None]:
    threading.Event().wait()
    yield


def fail_to_load() -> None:
    """As where a package is missing."""
    raise ImportError


@pytest.fixture(params=[True, False], ids=["forked", "started again"])
def warm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    """Calls by forks, and as where a system knows none."""
    monkeypatch.setattr(process, "_CAN_FORK", request.param)
    made = Warm(f"{HERE}:load", {"ONLY": "this"})
    yield made
    made.close()


@pytest.fixture
def forking() -> Iterator[Warm]:
    """Calls by forks."""
    made = Warm(f"{HERE}:load", {})
    yield made
    made.close()


def call(warm: Warm, name: str, argument: Any = None, seconds: float = 5) -> Said:
    return warm.call(f"{HERE}:{name}", argument, seconds)


def test_what_is_said_arrives(warm: Warm) -> None:
    """In its order, whatever JSON can say."""
    given = {"text": "ä\n\u2028", "numbers": [1, 2.5, None], "long": "x" * 300_000}
    said = call(warm, "echo", given)
    assert (given, True) == (said.values[0], said.is_whole)


def test_nothing_of_the_host_is_seen(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable but those that are meant for it, and no folder that could hold settings."""
    monkeypatch.setenv("USE_LITELLM_PROXY", "true")
    seen = call(warm, "echo").values[1]
    assert ("this", "/") == (seen["environment"]["ONLY"], seen["folder"])
    assert seen["environment"].keys() <= {"ONLY", "LC_CTYPE", *process._KEPT}


def test_what_is_printed_goes_nowhere(warm: Warm, capfd: pytest.CaptureFixture[str]) -> None:
    """It might repeat what no one may read."""
    call(warm, "echo")
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize("name", ["spin", "devour", "fail"])
def test_a_call_that_does_not_end_well_is_ended(warm: Warm, name: str) -> None:
    """What it said before is known, and the next one works."""
    assert Said(("begun",), False) == call(warm, name, seconds=-4)
    assert call(warm, "echo").is_whole


def test_a_call_that_says_too_much_is_not_heard_out(warm: Warm) -> None:
    """What comes in is bounded, too."""
    said = call(warm, "flood", seconds=-4)
    assert (False, True) == (said.is_whole, len(json.dumps(said.values)) <= process.MOST_SAID)


def test_calls_run_side_by_side(forking: Warm) -> None:
    """In as many processes, all of one parent."""
    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda number: call(forking, "echo", number).values, range(20)))
    assert list(range(20)) == [values[0] for values in said]
    assert (20, 1) == (len({values[1]["pid"] for values in said}), len({values[1]["parent"] for values in said}))


def test_a_call_that_hangs_holds_no_other_up(forking: Warm) -> None:
    """The others are answered while it still runs."""
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(call, forking, "spin", seconds=0)
        assert all(call(forking, "echo").is_whole for _ in range(5))
        assert not hanging.done()
        assert not hanging.result().is_whole


def test_a_warm_process_that_is_gone_begins_anew(forking: Warm) -> None:
    """Whether it was killed, or ended for want of calls."""
    first = call(forking, "echo").values[1]["parent"]
    assert call(forking, "vanish").values == ("gone",)
    second = call(forking, "echo").values[1]["parent"]
    os.kill(second, signal.SIGKILL)
    third = call(forking, "echo").values[1]["parent"]
    assert 3 == len({first, second, third})


def test_it_begins_before_it_is_needed(forking: Warm) -> None:
    """Once, however often it is asked for; and again where it has ended since."""
    forking.start()
    first = forking._process
    forking.start()
    assert first is forking._process
    assert first is not None
    assert first.pid == call(forking, "echo").values[1]["parent"]
    first.kill()
    first.wait()
    forking.start()
    second = forking._process
    assert second is not None
    assert first.pid != second.pid == call(forking, "echo").values[1]["parent"]


def test_a_process_that_loads_nothing_is_told() -> None:
    """As an error, and not as the outcome of a call."""
    warm = Warm(f"{HERE}:fail_to_load", {})
    with pytest.raises(ChildProcessError):
        call(warm, "echo")
    warm.close()


def test_no_process_and_no_file_is_left(forking: Warm) -> None:
    """After however many calls."""
    call(forking, "echo")
    before = len(list(Path("/proc/self/fd").iterdir()))
    parent = call(forking, "echo").values[1]["parent"]
    for _ in range(20):
        call(forking, "echo")
    assert before == len(list(Path("/proc/self/fd").iterdir()))
    forking.close()
    assert not Path(f"/proc/{parent}").exists()


SCRIPT = """
import os, sys
from registry.probe.process import Warm
warm = Warm("tests.integration.probe.test_process:load", {})
said = warm.call("tests.integration.probe.test_process:echo", 1, 5)
child = os.fork()
if not child:
    again = warm.call("tests.integration.probe.test_process:echo", 2, 5)
    assert again.values[1]["parent"] == said.values[1]["parent"]
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert warm.call("tests.integration.probe.test_process:echo", 3, 5).is_whole
print(said.values[1]["parent"])
if "kill" in sys.argv:
    os.kill(os.getpid(), 9)
"""


FORKED_LATER = """
import os, sys
from registry.probe.process import Warm
warm = Warm("tests.integration.probe.test_process:load", {})
warm.start()
if not os.fork():
    os.close(1)
    os.close(2)
    sys.stdin.read()
"""


def test_a_process_ends_while_one_that_it_forked_goes_on() -> None:
    """The warm process is not waited for, which a later child still knows."""
    command = [sys.executable, "-W", "error", "-c", FORKED_LATER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as host:
        assert 0 == host.wait(60)


def test_no_file_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As what it is to a caller: no process for the call."""
    monkeypatch.setattr(process.socket, "socketpair", lambda: os.open("/nowhere/at/all", 0))
    warm = Warm(f"{HERE}:load", {})
    warm.start()
    with pytest.raises(ChildProcessError):
        call(warm, "echo")


def test_a_process_that_still_loads_is_not_waited_for() -> None:
    """However long it takes: who ends needs it no more."""
    warm = Warm(f"{HERE}:load_for_ever", {})
    warm.start()
    process = warm._process
    warm.close()
    assert process is not None
    assert -signal.SIGKILL == process.returncode


@pytest.mark.parametrize("end", ["well", "kill"])
def test_a_fork_of_the_host_shares_the_warm_process(end: str) -> None:
    """It ends with the last process that knows it, however that ends."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, end]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "" == ended.stderr
    deadline = time.monotonic() + 30
    while Path(f"/proc/{int(ended.stdout)}").exists():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_control_without_its_limit_a_call_goes_on(forking: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the caller still gets an answer in time, but the process goes on."""
    said = call(forking, "unlimited", seconds=-5)
    assert not said.is_whole
    pid = said.values[0]
    assert Path(f"/proc/{pid}").exists()
    os.kill(pid, signal.SIGKILL)


def unlimited(_: Any, say: Say) -> None:
    """Take the limit away, and wait for ever."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    say(os.getpid())
    while True:
        signal.pause()
