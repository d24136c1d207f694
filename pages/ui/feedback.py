"""Telling people how it went: a note that outlives the rerun, and errors as sentences."""

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
# Streamlit looks for icons, emoji, addresses, entities and arrows when the backslashes are gone already: these take a
# joiner
_REPLACED = re.compile(r":(?! )|@|www|[-<>~](?=[-=>])|&(?=[#a-z])", re.IGNORECASE)


def flash(message: str, icon: str = ":material/check_circle:", seconds: int = 4) -> None:
    """Say this on the next run, on whatever page that is, for so long."""
    st.session_state.setdefault(_FLASH, []).append((message, icon, seconds))


def flash_saved(message: str, proxy_message: str = "") -> None:
    """Say that a change was made and, where something kept the proxy from following it, what that was."""
    if proxy_message:
        flash(f"{message} The proxy does not follow yet: {proxy_message}", ":material/sync_problem:", _LONG)
    else:
        flash(message)


def flash_error(error: RegistryError) -> None:
    """Say on the next run what went wrong, for long enough to be read."""
    flash(error.message, ":material/error:", _LONG)


def show_flashes() -> None:
    """Say what was put off."""
    for message, icon, seconds in st.session_state.pop(_FLASH, []):
        st.toast(plain(message), icon=icon, duration=seconds)


@contextmanager
def told() -> Iterator[None]:
    """Show a registry's error where it happens, instead of failing the page."""
    try:
        yield
    except RegistryError as error:
        st.error(plain(error.message), icon=":material/error:")


def typed(text: str) -> str:
    """Text that may have been copied from a page: without what `plain` puts into it."""
    return text.replace(_JOINER, "")


def plain(text: str) -> str:
    """Text of people, providers and the proxy for where Markdown is read: shown letter by letter, on one line.

    Nothing of it is formatted, replaced by an icon, emoji or sign, or made a link.
    """
    joined = _REPLACED.sub(lambda found: found[0] + _JOINER, _SPACE.sub(" ", text).strip())
    return _PUNCTUATION.sub(r"\\\g<0>", joined)
