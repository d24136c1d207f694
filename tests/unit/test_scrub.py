"""Our own secrets are taken out of what others say, however they wrote them."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from registry.probe.scrub import HIDDEN, scrub
from tests.support.factories import CANARY

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


def by_fours(text: str, between: str) -> str:
    return between.join(text[at : at + 4] for at in range(0, len(text), 4))


def of_another_shape(upper: int, lower: int, digits: int) -> Callable[[str], str]:
    """In the letters and digits that begin at these places in Unicode."""
    starts = str.maketrans(
        {
            chr(ord(first) + at): chr(start + at)
            for first, start, count in (("A", upper, 26), ("a", lower, 26), ("0", digits, 10))
            for at in range(count)
        }
    )
    return lambda key: key.translate(starts)


LIKE_NOTHING = "\u3164\u115f\u1160\uffa0\u02bc\u30fc\u0301\u0336"  # letters and marks that look empty, or like points
READABLE: dict[str, Callable[[str], str]] = {
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
    "base64 in groups": lambda key: by_fours(base64d(key), " "),
    "base64 in lines": lambda key: by_fours(base64d(key), "\r\n"),
    "base64 backwards": lambda key: base64d(key)[::-1],
    "base64 of UTF-16": lambda key: base64.b64encode(key.encode("utf-16-le")).decode(),
    "base64 of hex": lambda key: base64d(key.encode().hex()),
    "hex with spaces": lambda key: key.encode().hex(" "),
    "hex with colons": lambda key: key.encode().hex(":").upper(),
    "hex, each by itself": lambda key: ", ".join(hex(ord(char)) for char in key),
    "hex of base64": lambda key: base64d(key).encode().hex(),
    "hex backwards": lambda key: key.encode().hex()[::-1],
    "every character as in CSS": lambda key: "".join(f"\\{ord(char):x} " for char in key),
    "every character as %u": lambda key: "".join(f"%u{ord(char):04x}" for char in key),
    "every character as \\u{}": lambda key: "".join(f"\\u{{{ord(char):x}}}" for char in key),
    "every character as \\U": lambda key: "".join(f"\\U{ord(char):08X}" for char in key),
    "every character as =": lambda key: "".join(f"={ord(char):02X}" for char in key),
    "full-width": of_another_shape(0xFF21, 0xFF41, 0xFF10),
    "mathematical": of_another_shape(0x1D5A0, 0x1D5BA, 0x1D7E2),
    "circled": of_another_shape(0x24B6, 0x24D0, 0x1D7CE),
    **{f"with {unicodedata.name(char).lower()}s": char.join for char in LIKE_NOTHING},
}


@pytest.mark.parametrize("key", [CANARY, HEX, AWKWARD], ids=["canary", "hex", "awkward"])
@pytest.mark.parametrize("form", list(READABLE))
def test_a_text_out_of_which_a_secret_can_be_read_is_not_shown(form: str, key: str) -> None:
    """Its position is unknown, so all of it goes."""
    for text in (READABLE[form](key), f"before {READABLE[form](key)} after"):
        assert "" == scrub(text, [SecretStr(key)], limit=1000)


@pytest.mark.parametrize("form", list(READABLE))
def test_control_a_text_that_hides_something_else_is_shown(form: str) -> None:
    """The control: of another text, the same forms are shown."""
    assert scrub(f"before {READABLE[form]('it is not that key')} after", [SecretStr(CANARY)], limit=1000) != ""


ORDINARY = [
    "Incorrect API key provided: sk-ca****************4b06. You can find your API key at https://platform.openai.com/account/api-keys.",
    "The model `gpt-4o-canary` does not exist or you do not have access to it.",
    "Rate limit reached for gpt-4o in organization org-1b0c44e7d95a2f in 'tokens per min': Limit 30000, Used 29876.",
    "invalid x-api-key (request id req_011CSHoEeqs5C35K2UUqR7Fy)",
    "No deployment 5e9c0f6a-1c44-4e0b-9d27-e07b31aa52c9 for 'https://unit.openai.azure.com/openai?api-version=2024-10-21'",
    "unexpected token %7B%22error%22%3A%20%22none%22%7D at 0x7ffd0a0058e0: \\u00e9 &quot;x&quot; =20=3D",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736; eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtb2RlbCJ9.c2lnbmF0dXJlLW9mLWl0",
    "Expecting value: line 1 column 1 (char 0)",
    "Das Modell „größe-L“ wurde nicht gefunden: モデルが見つかりません",
]


@pytest.mark.parametrize("said", ORDINARY, ids=lambda said: said[:20])
def test_what_providers_usually_say_is_shown(said: str) -> None:
    """Ids, addresses and encodings of something else are no keys."""
    for key in (CANARY, HEX, AWKWARD, "sk-proj-Zq7Xw9Rt3Bn5Lm2Kp8Vd"):
        assert said == scrub(said, [SecretStr(key)])


def test_a_cut_never_leaves_a_piece_of_a_secret() -> None:
    """A text is scrubbed before it is cut to length, wherever the secret stands."""
    for at in range(280, 320):
        assert not leaks(scrub("x" * at + " " + CANARY, [SecretStr(CANARY)]), CANARY)


def test_with_a_short_secret_nothing_is_told() -> None:
    """It cannot be distinguished from ordinary words, so the whole text goes."""
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
