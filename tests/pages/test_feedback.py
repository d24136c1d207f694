"""Text of people, providers and the proxy where Markdown is read: `plain`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.ui.feedback import plain
from pages.ui.words import shortened
from tests.support.driver import unescaped
from tests.support.tricks import TRICKS

# What Streamlit 1.67 and its Markdown look for once the backslashes are gone (StreamlitMarkdown, remark-emoji,
# mdast-util-gfm-autolink-literal), and what it takes away from the source before anything else
REPLACED_IN_TEXT = [
    r":material_(\w+):",
    r":\+1:|:-1:|:[\w-]+:",
    r"(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)",
    r"(?i)(https?://|www(?=\.))([-.\w]+)",
    r"[-.\w+]+@[-\w]+(\.[-\w]+)+",
    r"&#?\w+;",
]
REPLACED_IN_SOURCE = ":material/"
PUNCTUATION = r"[!-/:-@\[-`{-~]"
PIECES = r"\ :/-<>=~@.[]()*_`#$&;|! w1"

texts = st.lists(st.one_of(st.sampled_from(TRICKS), st.sampled_from(PIECES), st.text())).map("".join)


def remade(markdown: str) -> list[str]:
    """The rules by which something else is made of a text."""
    text = re.sub(rf"\\({PUNCTUATION})", r"\1", markdown)
    found = [rule for rule in REPLACED_IN_TEXT if re.search(rule, text, re.ASCII)]
    found += [REPLACED_IN_SOURCE] if REPLACED_IN_SOURCE in markdown.replace("\\", "") else []
    return found + (["markup"] if re.search(PUNCTUATION, re.sub(rf"\\{PUNCTUATION}", "", markdown)) else [])


@pytest.mark.parametrize("trick", TRICKS)
def test_nothing_is_replaced(trick: str) -> None:
    """No icon, emoji, sign, link or format is made of a text. The control: of the trick itself, one is."""
    for text in (trick, f"before {trick} after", f"({trick})", trick * 2):
        assert remade(plain(text)) == []
    assert remade(trick) != []


@given(texts)
def test_nothing_is_replaced_of_any_text(text: str) -> None:
    """Whatever tricks are put together."""
    assert remade(plain(text)) == []


@given(texts)
def test_every_letter_is_there(text: str) -> None:
    """Without what has no width it is the text, with white space as the browser shows it, on one line."""
    text = text.replace("\u2060", "")
    assert re.sub(r"[ \t\r\n\f\v]+", " ", text).strip() == unescaped(plain(text))


@pytest.mark.parametrize(
    ("text", "most", "short"), [("", 3, ""), ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("ab cd", 4, "ab…")]
)
def test_a_text_is_cut(text: str, most: int, short: str) -> None:
    """To so many characters, the last of which says that there are more."""
    assert short == shortened(text, most)
