"""Our own secrets are taken out of what others say, however they wrote them."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from registry.scrub import HIDDEN, scrub
from tests.factories import CANARY

AWKWARD = 'pass/word+with "quotes" & =signs'
HEX = "0123456789abcdef" * 2
FORMS = {
    "plain": lambda key: key,
    "in a sentence": lambda key: f"Incorrect API key provided: {key}.",
    "upper case": lambda key: key.upper(),
    "in a URL": lambda key: f"https://host/?key={quote(key, safe='')}&x=1",
    "in a form": lambda key: f"key={quote(key)}",
    "lower-case escapes": lambda key: quote(key, safe="").lower(),
    "in JSON": lambda key: json.dumps({"key": key}),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key)).replace('\\\\\\"', '\\"'),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "basic auth": lambda key: base64.b64encode(b"user:" + key.encode() + b"@").decode(),
    "basic auth, another offset": lambda key: base64.b64encode(b"me:x" + key.encode()).decode(),
    "URL-safe base64": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "hex": lambda key: key.encode().hex(),
    "cut off": lambda key: f"Bearer {key[:-3]}…",
    "its end": lambda key: f"…{key[3:]}",
    "broken by an invisible character": lambda key: key[:5] + "\u200b" + key[5:],
    "twice": lambda key: f"{key} and {key}",
}


def leaks(text: str, key: str) -> bool:
    """Whether eight characters in a row of the key, or of a usual encoding of it, can be read in a text."""
    raw = key.encode()
    known = [key, quote(key, safe=""), quote_plus(key), base64.b64encode(raw).decode().rstrip("=")[:-1], raw.hex()]
    known += [base64.b64encode(b"xyz"[:at] + raw).decode()[4:-4] for at in (1, 2)]
    seen = text.lower()
    return any(form[at : at + 8].lower() in seen for form in known for at in range(len(form) - 7))


@pytest.mark.parametrize("key", [CANARY, HEX, AWKWARD], ids=["canary", "hex", "awkward"])
@pytest.mark.parametrize("form", list(FORMS))
def test_a_secret_is_hidden_in_every_form(form: str, key: str) -> None:
    """Whole or in part, in any case and the usual encodings; the words around it stay."""
    text = f"before {FORMS[form](key)} after"
    shown = scrub(text, [SecretStr(key)], limit=1000)
    assert not leaks(shown, key)
    assert HIDDEN in shown
    assert (True, True) == (shown.startswith("before "), shown.endswith(" after"))


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("broken by an invisible character",)])
def test_control_without_scrubbing_it_leaks(form: str) -> None:
    """The control: the same search finds the key in what goes in."""
    assert leaks(FORMS[form](HEX), HEX)


def base64d(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


READABLE = {
    "backwards": lambda key: key[::-1],
    "backwards, in upper case": lambda key: f"({key[::-1].upper()})",
    "with spaces": " ".join,
    "with dashes after each seventh": lambda key: "-".join(key[at : at + 7] for at in range(0, len(key), 7)),
    "with line breaks": lambda key: "\n".join(key[at : at + 5] for at in range(0, len(key), 5)),
    "every character as %": lambda key: "".join(f"%{ord(char):02X}" for char in key),
    "every character as \\u": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "every character as \\x": lambda key: "".join(f"\\x{ord(char):02x}" for char in key),
    "every character as &#": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "every character as &#x": lambda key: "".join(f"&#x{ord(char):x};" for char in key),
    "base64 twice": lambda key: base64d(base64d(key)),
    "base64 twice, with words": lambda key: base64d(f"said {base64d(f'my key {key} is')} it"),
    "base64 of it backwards": lambda key: base64d(key[::-1]),
    "% of base64 of base64": lambda key: quote(base64d(base64d(key)) + "==", safe=""),
    "base64 of it with spaces": lambda key: base64d(" ".join(key)),
}


@pytest.mark.parametrize("key", [CANARY, HEX, AWKWARD], ids=["canary", "hex", "awkward"])
@pytest.mark.parametrize("form", list(READABLE))
def test_a_text_out_of_which_a_secret_can_be_read_is_not_shown(form: str, key: str) -> None:
    """Where it stands cannot be told, so all of it goes."""
    for text in (READABLE[form](key), f"before {READABLE[form](key)} after"):
        assert "" == scrub(text, [SecretStr(key)], limit=1000)


@pytest.mark.parametrize("form", list(READABLE))
def test_control_a_text_that_hides_something_else_is_shown(form: str) -> None:
    """The control: of another text, the same forms are shown."""
    assert scrub(f"before {READABLE[form]('it is not that key')} after", [SecretStr(CANARY)], limit=1000) != ""


def test_a_cut_never_leaves_a_piece_of_a_secret() -> None:
    """A text is scrubbed before it is cut to length, wherever the secret stands."""
    for at in range(280, 320):
        assert not leaks(scrub("x" * at + " " + CANARY, [SecretStr(CANARY)]), CANARY)


def test_with_a_short_secret_nothing_is_told() -> None:
    """It could not be told from ordinary words, so the text goes altogether."""
    assert "" == scrub("The key abc1234 is wrong", [SecretStr("abc1234")])
    assert "" == scrub("no key in here", [SecretStr(CANARY), SecretStr("abc")])
    assert "no key in here" == scrub("no key in here", [None, SecretStr("")])


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand\x00more", "two lines and more"),
        ("\x1b[31mred\u202e", "[31mred"),
        ("a" * 400, "a" * 299 + "…"),
        ("", ""),
    ],
)
def test_what_is_shown_is_one_bounded_line(said: str, shown: str) -> None:
    """No control characters, at most 300 characters."""
    assert shown == scrub(said, [SecretStr(CANARY)])


@given(before=st.text(max_size=50), after=st.text(max_size=50), key=st.text(min_size=8, max_size=60))
def test_no_text_lets_a_key_through(before: str, after: str, key: str) -> None:
    """Whatever stands around it, and whatever the key is."""
    shown = scrub(before + key + after, [SecretStr(key)])
    assert len(shown) <= 300
    if key.isascii() and key.isprintable() and "  " not in key and key == key.strip():
        assert key.lower() not in shown.lower()
