"""The browser tests' visitor: which run of the page it waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from playwright.sync_api import Page
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.support.browser import Visitor

BEGINS = ForwardMsg(new_session={}).SerializeToString()
ENDS = ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY).SerializeToString()
IS_ENDED_EARLY = ForwardMsg(script_finished=ForwardMsg.FINISHED_EARLY_FOR_RERUN).SerializeToString()
ASKS = BackMsg(rerun_script={}).SerializeToString()


class Tab:
    """A page whose server sends its next message whenever the visitor waits for one."""

    def __init__(self, messages: list[bytes]) -> None:
        self.left: Iterator[bytes] = iter(messages)
        self.count = 0
        self.receive: Callable[[bytes], None] = lambda _: None

    def wait_for_timeout(self, _: float) -> None:
        self.receive(next(self.left))
        self.count += 1

    def wait_for_function(self, _: str) -> None:
        pass

    def set_default_timeout(self, _: float) -> None:
        pass

    def on(self, *_: Any) -> None:
        pass


def waited(before: list[bytes], after: list[bytes]) -> int:
    """How many messages a visitor waits for, who presses a button once ``before`` has come and gone."""
    tab = Tab(after)
    visitor = Visitor(cast(Page, tab), "http://localhost")
    tab.receive = visitor._received
    with visitor.rerun():
        for message in before:
            (visitor._sent if message == ASKS else visitor._received)(message)
    return tab.count


CASES = {
    "the run that was asked for": (2, [ASKS], [BEGINS, ENDS]),
    "after the run of a field that was left by the press": (3, [ASKS, BEGINS, ASKS], [ENDS, BEGINS, ENDS]),
    "after the run of a field that the press interrupts": (3, [ASKS, BEGINS, ASKS], [IS_ENDED_EARLY, BEGINS, ENDS]),
    "after the run of a field that has ended": (2, [ASKS, BEGINS, ENDS, ASKS], [BEGINS, ENDS]),
    "a run that a run asks for": (4, [ASKS], [BEGINS, IS_ENDED_EARLY, BEGINS, ENDS]),
    "a run that has ended before the wait": (0, [ASKS, BEGINS, ENDS], []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_visitor_waits_for_the_run_that_the_last_request_asked_for(case: str) -> None:
    """Not for the end of one that had begun before: the next press could fall on a button that is being replaced."""
    expected, before, after = CASES[case]
    assert expected == waited(before, after)


def test_control_any_run_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without noting what had begun at the last request, the field's run passes for the button's."""
    monkeypatch.setattr(Visitor, "_asked", property(lambda _: 0, lambda *_: None), raising=False)
    assert 1 == waited(*CASES["after the run of a field that was left by the press"][1:])
