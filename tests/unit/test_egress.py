"""The outbound policy: what may never be called, and what an administrator allows or denies."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import Settings
from registry.catalog.egress import Policy, literal_addresses
from registry.catalog.endpoints import parse_endpoint
from registry.errors import SettingsError, UnsafeEndpointError

NEVER = [
    "169.254.169.254",
    "169.254.169.254.",
    "169.254.0.1",
    "169.254.43518",
    "169.16689662",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "025177524776",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",  # noqa: S104 -- an address that is refused
    "0",
    "1",
    "0x0",
    "224.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[febf::1]",
    "[ff02::1]",
    "[::]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:0:a9fe:a9fe]",
    "[::a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[64:ff9b:1:a9fe:a9:fe00::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:a9fe:a9fe::1]",
    "[2001:db8::5efe:a9fe:a9fe]",
    "[::ffff:0.0.0.0]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "metadata",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "instance-data",
    "metadata.azure.internal",
]


@pytest.mark.parametrize("host", NEVER)
def test_some_places_are_never_called(host: str) -> None:
    """Metadata services, link-local, multicast and unspecified addresses, in every notation; no allowance helps."""
    for policy in (Policy(), Policy(allow=["0.0.0.0/0", "::/0", "metadata", "*.internal", "instance-data"])):
        with pytest.raises(UnsafeEndpointError) as refusal:
            policy.check(f"http://{host}:8080/v1")
        assert ["api_endpoint"] == list(refusal.value.fields)
        assert host.strip("[].") not in refusal.value.message.split(": ", 1)[1]


ALLOWED = [
    "https://api.openai.com/v1",
    "http://localhost:11434",
    "http://127.0.0.1:11434",
    "http://127.1:11434",
    "http://10.0.0.7",
    "http://192.168.1.2:8000",
    "http://172.16.0.1",
    "http://[::1]:8000",
    "http://[fd12:3456::1]",
    "http://my_host/v1",
    "http://169.254.example.com",
    "https://metadata.example.com",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_all_else_may_be_called_by_default(url: str) -> None:
    """Private addresses too, since Ollama lives there; and names that only look like the refused ones."""
    Policy().check(url)


@pytest.mark.parametrize(
    "url", ["", "ftp://host", "file:///etc/passwd", "https://u:p@host", "http://[::1", "http://1.2.3.999"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """Only http and https, no credentials, and nothing that is meant as an address and is none."""
    with pytest.raises(UnsafeEndpointError):
        Policy().check(url)


RULES = [
    ("api.example.com", "https://api.example.com/v1", True),
    ("API.Example.com.", "https://api.example.com", True),
    ("api.example.com", "https://x.api.example.com", False),
    ("*.example.com", "https://api.example.com", True),
    ("*.example.com", "https://a.b.example.com.", True),
    ("*.example.com", "https://example.com", False),
    ("*.example.com", "https://evilexample.com", False),
    ("10.0.0.7", "http://10.0.0.7:8000", True),
    ("10.0.0.7", "http://0xA000007:8000", True),
    ("10.0.0.7", "http://[::ffff:10.0.0.7]", True),
    ("10.0.0.0/8", "http://10.1.2.3", True),
    ("10.0.0.0/8", "http://11.1.2.3", False),
    ("::ffff:10.0.0.0/104", "http://10.1.2.3", True),
    ("::ffff:a00:0/104", "http://[::ffff:10.1.2.3]", True),
    ("::ffff:10.0.0.0/104", "http://11.1.2.3", False),
    ("[::ffff:10.0.0.7]", "http://10.0.0.7", True),
    ("::ffff:10.0.0.7/128", "http://10.0.0.8", False),
    ("::ffff:0:0/96", "http://10.0.0.7", True),
    ("::ffff:0:0/96", "http://[2001:db8::1]", False),
    ("127.0.0.0/8", "http://localhost:11434", True),
    ("fd00::/8", "http://[fd12::1]", True),
    ("[::1]", "http://[::1]:80", True),
    ("localhost", "http://localhost", True),
]


@pytest.mark.parametrize(("entry", "url", "matches"), RULES)
def test_hosts_are_denied_and_allowed_by_name_and_address(entry: str, url: str, matches: bool) -> None:
    """A denied host is refused; with hosts allowed, all others are."""
    denied, allowed = Policy(deny=[entry]), Policy(allow=[entry])
    (refusing, passing) = (denied, allowed) if matches else (allowed, denied)
    passing.check(url)
    with pytest.raises(UnsafeEndpointError, match="REGISTRY_ENDPOINT_"):
        refusing.check(url)


@pytest.mark.parametrize(
    "host",
    ["[2001:db8:bad::5efe:a00:1]", "[64:ff9b::a00:1]", "[2002:a00:1::1]", "[2001:0:a00:1::f5ff:fffe]", "[::10.0.0.1]"],
)
def test_a_tunnel_to_an_allowed_address_is_not_allowed(host: str) -> None:
    """Where its other end stands, anybody may have chosen. Where the address is denied, so is the way to it."""
    for policy in (Policy(allow=["10.0.0.0/8"]), Policy(deny=["10.0.0.0/8"])):
        with pytest.raises(UnsafeEndpointError, match="REGISTRY_ENDPOINT_"):
            policy.check(f"http://{host}")
    Policy(allow=["10.0.0.0/8"]).check("http://[::ffff:10.0.0.1]")


@pytest.mark.parametrize("host", ["localhost", "x.localhost", "127.0.0.1", "127.1", "[::1]", "0x7f000001"])
def test_localhost_stands_for_this_machine(host: str) -> None:
    """By all of its names and addresses, denied or allowed."""
    with pytest.raises(UnsafeEndpointError):
        Policy(deny=["localhost"]).check(f"http://{host}")
    Policy(allow=["localhost"]).check(f"http://{host}")


def test_denying_is_stronger_than_allowing() -> None:
    """A host that is on both lists is not called."""
    with pytest.raises(UnsafeEndpointError, match="REGISTRY_ENDPOINT_DENY"):
        Policy(allow=["*.example.com"], deny=["bad.example.com"]).check("https://bad.example.com")


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1%2", "::ffff:169.254.169.254", "0.0.0.1", "10.1.2.3"])
def test_an_allowed_name_does_not_lead_everywhere(address: str) -> None:
    """What it resolves to must not be a place that is never called, nor a denied one."""
    assert not Policy(allow=["models.example.com"], deny=["10.0.0.0/8"]).permits(ipaddress.ip_address(address))


def test_an_allowed_name_may_lead_to_any_other_address() -> None:
    """Also to one that is not on the list itself."""
    assert Policy(allow=["models.example.com", "192.168.0.0/16"]).permits(ipaddress.ip_address("203.0.113.9"))


UNUSABLE = ["https://host", "host:80", "host/path", "a b", "*", "*.", "a.*.b", "-x", "", "ü.de"]


@pytest.mark.parametrize("entry", [*UNUSABLE, "10.0.0", "1.2.3.999", "10.0.0.0/33"])
def test_an_unusable_entry_is_refused_at_start(entry: str) -> None:
    """The message names the setting and shows what it takes."""
    with pytest.raises(SettingsError, match="REGISTRY_ENDPOINT_ALLOW takes hosts"):
        Settings(endpoint_allow=[entry])
    with pytest.raises(SettingsError, match="REGISTRY_ENDPOINT_DENY takes hosts"):
        Settings(endpoint_deny=["fine.example.com", entry])


HOSTS = (
    st.text(max_size=40)
    | st.from_regex(r"(0x)?[0-9a-f]{1,11}(\.(0x)?[0-9a-f]{1,11}){0,4}\.?", fullmatch=True)
    | st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip))
)


@given(host=HOSTS, port=st.text("0123456789", max_size=6), path=st.text(max_size=10))
def test_any_text_passes_or_is_refused_with_a_typed_error(host: str, port: str, path: str) -> None:
    """And an endpoint is judged as it was entered and as it is stored."""
    for url in (host, f"http://{host}:{port}/{path}", f"https://{host}"):
        verdict = _verdict(url)
        try:
            assert verdict == _verdict(parse_endpoint(url))
        except ValueError:
            continue


@given(st.ip_addresses(v=4))
def test_every_notation_of_an_address_is_judged_alike(address: ipaddress.IPv4Address) -> None:
    """Decimal, hex, octal, short, mapped, translated: what one refuses, all refuse."""
    a, b, c, d = address.packed
    number = int(address)
    plain = [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a:#x}.{b}.0{c:o}.{d}",
        f"{address}.",
    ]
    inside = [f"[::ffff:{address}]", f"[64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}]"]
    inside += [f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]"]
    verdicts = {host: _verdict(f"http://{host}/v1") for host in (*plain, *inside)}
    assert 1 == len(set(verdicts.values())), verdicts
    assert all((address,) == literal_addresses(host) for host in plain)


def _verdict(url: str) -> bool:
    try:
        Policy(deny=["10.0.0.0/8"]).check(url)
    except UnsafeEndpointError:
        return False
    return True
