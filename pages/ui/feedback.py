"""Messages that survive a rerun, errors on the page, and text escaped for Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from registry.errors import RegistryError

_FLASH = "flash"
_LONG = 20  # seconds, for more than a sentence
_JOINER = "\u2060"  # has no width
_SPACE = re.compile(r"[ \t\r\n\f\v]+")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
# Streamlit replaces icons, emoji, addresses, entities and arrows after it has removed the backslashes: these need a
# joiner
_REPLACED = re.compile(r":(?! )|@|www|[-<>~](?=[-=>])|&(?=[#a-z])", re.IGNORECASE)


def flash(message: str, icon: str = ":material/check_circle:", seconds: int = 4) -> None:
    """Queue a message for the next run, on any page."""
    st.session_state.setdefault(_FLASH, []).append((message, icon, seconds))


def flash_saved(message: str, proxy_message: str = "") -> None:
    """Queue a message about a change and, if the proxy could not be updated, why."""
    if proxy_message:
        flash(f"{message} The proxy is not in step yet: {proxy_message}", ":material/sync_problem:", _LONG)
    else:
        flash(message)


def flash_error(error: RegistryError) -> None:
    """Queue an error for the next run, shown long enough to read it."""
    flash(error.message, ":material/error:", _LONG)


def show_flashes() -> None:
    """Show queued messages."""
    for message, icon, seconds in st.session_state.pop(_FLASH, []):
        st.toast(plain(message), icon=icon, duration=seconds)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show errors of the registry in place, instead of failing the page."""
    try:
        yield
    except RegistryError as error:
        st.error(plain(error.message), icon=":material/error:")


def typed(text: str) -> str:
    """Remove what `plain` inserts from a text that may be copied from a page."""
    return text.replace(_JOINER, "")


def plain(text: str) -> str:
    """Escape text of users, providers and the proxy for Markdown: it is shown literally, on one line.

    Nothing in it is formatted, replaced by an icon, emoji or sign, or made a link.
    """
    joined = _REPLACED.sub(lambda found: found[0] + _JOINER, _SPACE.sub(" ", text).strip())
    return _PUNCTUATION.sub(r"\\\g<0>", joined)
