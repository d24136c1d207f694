"""Addresses that models are called at: what is usable, and in which one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.catalog.endpoints import origin, parse_endpoint


@pytest.mark.parametrize(
    ("given_url", "stored"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        (" HTTPS://API.OpenAI.com/v1/ ", "https://api.openai.com/v1"),
        ("https://api.openai.com:443/", "https://api.openai.com"),
        ("http://localhost:11434", "http://localhost:11434"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("http://my_host/v1", "http://my_host/v1"),
        ("http://10.0.0.7:1234/v1//", "http://10.0.0.7:1234/v1"),
        ("http://" + "a" * 63 + ".example", "http://" + "a" * 63 + ".example"),
    ],
)
def test_an_endpoint_is_stored_in_one_spelling(given_url: str, stored: str) -> None:
    """Scheme and host in lower case, no default port, no slash at the end; the path does not change."""
    assert stored == parse_endpoint(given_url)
    assert stored == parse_endpoint(stored)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "ftp://host",
        "https://",
        "https:///path",
        "https://user:secret@host/v1",
        "https://user@host",
        "https://host/v1?key=secret",
        "https://host/#x",
        "https://host/?",
        "https://ho st/",
        "https://host\\@evil.example",
        "https://host\t/",
        "https://host\x00/",
        "https://höst/",
        "https://host:port",
        "https://host:0",
        "https://host:65536",
        "https://a..b",
        "https://" + "a" * 64,
        "https://host." + "a" * 64 + ".example",
        "https://-host",
        "https://[::1",
        "http://[::1]4890/v1",
        "http://[::1]x:80",
        "https://{host}",
        "https://" + "a" * 500,
        "x" * 1_000_000,
    ],
)
def test_what_is_no_endpoint_is_refused_without_repeating_it(url: str) -> None:
    """The message says what to enter; it never holds what was entered, which may be a key."""
    with pytest.raises(ValueError, match=r"\.$") as refusal:
        parse_endpoint(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.openai.com", "https://API.openai.com:443/v1/chat"),
        ("http://host", "http://host:80/"),
    ],
)
def test_the_same_origin_in_two_spellings(one: str, other: str) -> None:
    """A path, a default port and the case of the host make no other origin."""
    assert origin(one) == origin(other)


@pytest.mark.parametrize(
    "other", ["http://host.example", "https://host.example:8443", "https://host.example.org", "https://x.host.example"]
)
def test_another_scheme_host_or_port_is_another_origin(other: str) -> None:
    """A key for one is not a key for the other."""
    assert origin("https://host.example") != origin(other)


@given(st.text() | st.builds("https://{}".format, st.text()) | st.builds("http://h:{}".format, st.text(max_size=6)))
def test_any_text_is_an_endpoint_or_a_value_error(text: str) -> None:
    """What passes has an origin and is stored as it would be stored again."""
    try:
        stored = parse_endpoint(text)
    except ValueError:
        return
    assert stored == parse_endpoint(stored)
    assert stored.startswith(origin(stored).rsplit(":", 1)[0])
