"""Shows a connection test: its progress, and its result by stage."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st
from registry.records import Kind, TestResult

from pages.ui import waiting
from pages.ui.feedback import plain
from pages.ui.words import FAILS, STAGES, WORKS, duration

LOCKED = (
    "The dimensions cannot be changed: knowledge bases hold vectors made with them. If the model now returns another "
    "number, register it as a new model."
)

_FRAME, _LINE, _GAP, _BUTTON = 18, 24, 16, 56  # pixels
_WIDTH = 105  # characters in a line
_PATIENCE = 1.0
_SLOW = "This can take up to 15 seconds, and longer if LiteLLM or the model must be loaded first."
_NO_BREAK = "\u00a0"
_AHEAD = ":gray[:material/radio_button_unchecked:"


def run(call: Callable[[], TestResult], what: str) -> TestResult:
    """Run a test and show what it calls; any other click on the page ends the waiting.

    Args:
        call: the test, with its own handle: it runs in another thread, which has no sign-in.
        what: the model.

    Raises:
        RegistryError: nothing was sent.
    """
    begun = time.monotonic()
    st.empty()  # replaces the last result, which would stay visible until this run ends
    with st.spinner(f"Calling {plain(what)}…", show_time=True):
        note = st.empty()
        return waiting.run(call, lambda: note.caption(_SLOW if time.monotonic() - begun > _PATIENCE else ""))


def show(result: TestResult) -> None:
    """Draw a test's stages, its result, and the provider's answer."""
    st.markdown(_path(result))
    st.markdown(f"**{plain(result.message)}**")
    facts = _facts(result)
    if facts:
        st.caption(" · ".join(facts))
    if "answer" in result.details:
        st.caption(f"Answer: {plain(result.details['answer'])}")


def height(result: TestResult) -> int:
    """The height of a result at the page's usual width, in pixels."""
    texts = ["stages", result.message, " · ".join(_facts(result)), result.details.get("answer", "")]
    lines = [1 + len(text) // _WIDTH for text in texts if text]
    button = _BUTTON if measured(result) else 0
    return _FRAME + sum(_LINE * number + _GAP for number in lines) + button


def show_outdated() -> None:
    """Show that the form changed since the last test."""
    st.markdown(f"{_AHEAD} Changed since the last test.]")
    st.caption("Test the connection again.")


def measured(result: TestResult) -> int | None:
    """The measured dimensions of a model, if others are configured."""
    found: int | None = result.details["dimensions"] if result.kind == Kind.WRONG_DIMENSIONS else None
    return found


def _path(result: TestResult) -> str:
    """The stages, each with a mark that is clear without its colour."""
    reached = list(STAGES).index(result.stage)
    marks = [WORKS] * reached + [WORKS if result.ok else FAILS] + [_AHEAD] * (len(STAGES) - reached - 1)
    return " → ".join(f"{mark}{_NO_BREAK}{stage}]" for mark, stage in zip(marks, STAGES.values(), strict=True))


def _facts(result: TestResult) -> list[str]:
    found, facts = result.details, []
    if result.latency_ms:
        facts.append(duration(result.latency_ms))
    if "dimensions" in found:
        facts.append(f"{found['dimensions']:,} dimensions, length {found['norm']:g}")
    if "preview" in found:
        facts.append(f"“{plain(found['preview'])}”")
    return facts
