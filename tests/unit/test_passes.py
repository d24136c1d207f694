"""Passes of the local sign-in: links that work once, cookies that end, and a key that is its owner's alone."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from registry import Actor
from registry.errors import ForbiddenError, SettingsError
from registry.keys.passes import LINK_MINUTES, LINK_PATH, SIGN_IN_KEY_FILE, Passes, Spent
from tests.support.factories import LOCAL_ADMINISTRATOR, SERVICE

VERA = Actor("Vera Überall", "viewer", "local")
HOUR = 3600


class Clock:
    """A clock that moves only when the test sets it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passes(tmp_path: Path, clock: Clock) -> Passes:
    return Passes(tmp_path, clock)


def test_a_link_signs_in_once(passes: Passes, tmp_path: Path, clock: Clock) -> None:
    """As whom it was made out to; then never again, not even after a restart."""
    token = passes.issue("link", VERA)
    assert passes.redeem(token) == VERA
    assert passes.redeem(token) is None
    assert Passes(tmp_path, clock).redeem(token) is None


def test_each_link_is_another(passes: Passes) -> None:
    """Using one leaves the others usable."""
    first, second = passes.issue("link", VERA), passes.issue("link", VERA)
    assert passes.redeem(first) == passes.redeem(second) == VERA


def test_control_without_a_memory_a_link_works_again(passes: Passes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what refuses the second use is the memory of the first."""
    monkeypatch.setattr(passes.spent, "add", lambda id: True)
    token = passes.issue("link", VERA)
    assert passes.redeem(token) == passes.redeem(token) == VERA


@pytest.mark.parametrize(("minutes", "is_let_in"), [(LINK_MINUTES, True), (LINK_MINUTES + 0.1, False)])
def test_a_link_is_short_lived(passes: Passes, clock: Clock, minutes: float, is_let_in: bool) -> None:
    """Fifteen minutes and not longer."""
    token = passes.issue("link", VERA)
    clock.now += minutes * 60
    assert (passes.redeem(token) is not None) == is_let_in


def test_what_was_used_is_remembered_as_long_as_it_could_be_used(passes: Passes, clock: Clock) -> None:
    """Longer than any pass holds; then its memory is tidied away."""
    token = passes.issue("session", VERA)
    found = passes.read("session", token, HOUR)
    assert found is not None
    assert passes.spent.add(found.id)
    clock.now += 7 * 24 * HOUR
    passes.spent.add("another")
    assert found.id in passes.spent
    clock.now += 2 * HOUR
    passes.spent.add("a third")
    assert found.id not in passes.spent


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_memory_that_cannot_be_written_is_told(tmp_path: Path, clock: Clock, folder: str) -> None:
    """Before anything is to be remembered, and when it is: not as if it had been remembered before."""
    (tmp_path / "file").touch()
    spent = Spent(tmp_path / folder, clock)
    for use in (spent.prepare, lambda: spent.add("x")):
        with pytest.raises(SettingsError, match="REGISTRY_DATA_DIR"):
            use()


def test_a_link_is_no_cookie_and_a_cookie_no_link(passes: Passes) -> None:
    """Else a link would be worth hours, and a cookie a second sign-in."""
    assert passes.read("session", passes.issue("link", VERA), HOUR) is None
    assert passes.redeem(passes.issue("session", VERA)) is None


def test_what_is_not_ours_is_no_pass(passes: Passes, tmp_path: Path) -> None:
    """Changed, cut, made with another key, or no token at all."""
    token = passes.issue("session", VERA)
    foreign = Passes(tmp_path / "other").issue("session", VERA)
    for other in (token[:-5] + "AAAA=", token[:40], "x" + token, foreign, "", "x", "ü€", "\0", "a" * 10_000):
        assert passes.read("session", other, 10 * HOUR) is None
    assert passes.read("session", token, 10 * HOUR) is not None


def test_services_do_not_sign_in(passes: Passes) -> None:
    """KB code is no person."""
    with pytest.raises(ForbiddenError):
        passes.issue("link", SERVICE)


def test_the_key_is_its_owners_alone(passes: Passes, tmp_path: Path) -> None:
    """And so is what was spent."""
    passes.redeem(passes.issue("link", VERA))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {SIGN_IN_KEY_FILE: 0o600, "signed-out": 0o700}


def test_losing_the_key_signs_people_out(passes: Passes, tmp_path: Path) -> None:
    """A new one is made; the old cookies are worth nothing, and have another name."""
    name, token = passes.cookie_name, passes.issue("session", VERA)
    (tmp_path / SIGN_IN_KEY_FILE).unlink()
    assert passes.read("session", token, HOUR) is None
    assert passes.cookie_name != name
    assert passes.redeem(passes.issue("link", VERA)) == VERA


def test_a_damaged_key_is_told(passes: Passes, tmp_path: Path) -> None:
    """The message says what to do."""
    (tmp_path / SIGN_IN_KEY_FILE).write_text("nonsense")
    with pytest.raises(SettingsError, match="Delete it"):
        passes.issue("link", VERA)


def test_the_longest_name_fits_in_a_cookie(passes: Passes) -> None:
    """Browsers drop what has more than 4,096 bytes, and people would never get in."""
    assert len(passes.cookie_name) + len(passes.issue("session", Actor("𝔘" * 255, "admin"))) < 3_900


def test_the_link_leads_to_this_machine(passes: Passes) -> None:
    """To the port that was asked for."""
    parts = urlsplit(passes.url(LOCAL_ADMINISTRATOR, 8601))
    assert (parts.netloc, parts.path) == (f"{passes.host}:8601", LINK_PATH)
    assert passes.redeem(parse_qs(parts.query)["token"][0]) == LOCAL_ADMINISTRATOR


def test_the_links_name_is_a_secret_of_this_machine(passes: Passes, tmp_path: Path, clock: Clock) -> None:
    """Made of the key: the same after a restart, another for another dashboard, and nothing that the cookie reveals."""
    assert re.fullmatch(r"registry-[0-9a-f]{16}\.localhost", passes.host)
    assert passes.host == Passes(tmp_path, clock).host
    others = [Passes(tmp_path / "other", clock).host, passes.cookie_name]
    assert not [other for other in others if other[:12] == passes.host[:12]]
