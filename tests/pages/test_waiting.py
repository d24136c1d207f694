"""Waiting for calls in threads: a few at once, begun in the page's own thread, and given up when the page is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event, current_thread

import pytest

from pages.ui import waiting

Call = Callable[[], int]


@pytest.fixture
def gate() -> Iterator[Event]:
    """Opens at the end of the test, so that no thread is left behind."""
    gate = Event()
    yield gate
    gate.set()


def ended(calls: Iterator[tuple[str, Call]] | list[tuple[str, Call]], at_once: int) -> dict[str, int]:
    return {key: future.result() for found in waiting.each(calls, at_once) for key, future in found.items()}


def test_every_call_is_made_and_yielded_once() -> None:
    assert {str(number): number for number in range(9)} == ended(
        [(str(number), lambda number=number: number) for number in range(9)], 4
    )
    assert {} == ended([], 4)


def test_no_more_begin_than_may_run_at_once(gate: Event) -> None:
    """And each is taken by the page's own thread, where the sign-in is known, only when it is about to begin."""
    taken: list[str] = []

    def calls() -> Iterator[tuple[str, Call]]:
        for number in range(9):
            taken.append(current_thread().name)
            yield str(number), lambda: int(gate.wait())

    running = waiting.each(calls(), 4)
    assert {} == next(running)
    assert [current_thread().name] * 4 == taken
    running.close()


def test_an_error_stops_no_other() -> None:
    """It comes out where its own outcome is asked for."""
    calls: list[tuple[str, Call]] = [("bad", lambda: 1 // 0), ("good", lambda: 1)]
    found = {key: future for each in waiting.each(calls, 1) for key, future in each.items()}
    assert 1 == found["good"].result()
    with pytest.raises(ZeroDivisionError):
        found["bad"].result()
    with pytest.raises(ZeroDivisionError):
        waiting.run(lambda: 1 // 0, lambda: None)


def test_a_page_that_is_given_up_waits_no_longer(gate: Event) -> None:
    """What is drawn meanwhile ends the run, as Streamlit does at a click; the call goes on in its thread."""
    begun, done = Event(), Event()

    def call() -> None:
        begun.set()
        gate.wait()
        done.set()

    def click() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        waiting.run(call, click)
    assert begun.wait(10)
    assert not done.is_set()
    gate.set()
    assert done.wait(10)
