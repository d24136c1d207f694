"""The outbound policy: the addresses that models can be called at.

Addresses that answer any caller on a machine or in a cloud, such as metadata services, are always refused; the
administrator decides about all others. Private addresses are allowed unless denied: Ollama uses them.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from registry.catalog.endpoints import origin
from registry.errors import SettingsError, UnsafeEndpointError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEVER: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # Azure's platform service
        "192.0.0.192/32",  # metadata of Oracle Cloud
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/128",
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
        "fd00:ec2::/32",  # metadata of AWS
        "fd20:ce::254/128",  # metadata of Google Cloud
    )
)
_NEVER_NAMES: Final = (
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "instance-data",
    "instance-data.ec2.internal",
    "rancher-metadata",
)
_EMBEDDED: Final = tuple(  # IPv6 networks that carry an IPv4 address in their last 32 bits
    ipaddress.IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_THIS_MACHINE: Final[tuple[Network, ...]] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)
_LOCALHOST: Final[tuple[Address, ...]] = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


class Policy:
    """The hosts that can be called.

    Args:
        allow: hosts, ``*.example.com`` for all subdomains, addresses or networks. If not empty, only these are allowed.
        deny: the same, for hosts that must not be called.

    Raises:
        SettingsError: an entry is malformed.
    """

    def __init__(self, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> None:
        self.entries = tuple(allow), tuple(deny)
        self._allow = _Hosts.parse("REGISTRY_ENDPOINT_ALLOW", allow)
        self._deny = _Hosts.parse("REGISTRY_ENDPOINT_DENY", deny)

    def check(self, url: str) -> None:
        """Check that a model can be called at this URL, without resolving its host name.

        Names are matched by name only, networks match addresses. `permits` checks what a name resolves to.

        Raises:
            UnsafeEndpointError: the policy refuses it; the field is ``api_endpoint``. The message omits the address.
        """
        try:
            origin(url)
            host = (urlsplit(url).hostname or "").lower()
            addresses = literal_addresses(host)
        except ValueError:
            raise _refused("This is not an address that can be called.") from None
        host = host.removesuffix(".")
        if host in _NEVER_NAMES or any(map(_is_never_called, addresses)):
            raise _refused(
                "Metadata services, link-local, multicast and unspecified addresses are never called. "
                "Enter the address of the model's own server."
            )
        if self._deny.have(host, addresses):
            raise _refused("Calling this host is forbidden by REGISTRY_ENDPOINT_DENY.")
        if self._allow and not self._allow.have(host, addresses, tunnels=False):
            raise _refused("Calling this host is not allowed by REGISTRY_ENDPOINT_ALLOW.")

    def permits(self, address: Address) -> bool:
        """Whether an allowed name can be called at this address."""
        return not _is_never_called(address) and not self._deny.have("", (address,))


@dataclass(frozen=True, slots=True)
class _Hosts:
    names: frozenset[str]
    suffixes: tuple[str, ...]
    networks: tuple[Network, ...]

    @classmethod
    def parse(cls, setting: str, entries: Sequence[str]) -> _Hosts:
        names: set[str] = set()
        suffixes: list[str] = []
        networks: list[Network] = []
        for entry in (entry.strip().lower().removesuffix(".") for entry in entries):
            network = _network(entry)
            if entry == "localhost":  # covers all names and addresses of this machine
                networks += _THIS_MACHINE
            elif network is not None:
                networks.append(network)
            elif not _NAME.fullmatch(entry) or _NUMBER.fullmatch(entry.rpartition(".")[2]):
                raise SettingsError(
                    f"{setting} takes hosts such as models.example.com or *.example.com, addresses such as 10.0.0.7, "
                    "and networks such as 10.0.0.0/8, separated by commas; without scheme, port or path."
                )
            elif entry.startswith("*."):
                suffixes.append(entry[1:])
            else:
                names.add(entry)
        return cls(frozenset(names), tuple(suffixes), tuple(networks))

    def __bool__(self) -> bool:
        return bool(self.names or self.suffixes or self.networks)

    def have(self, host: str, addresses: Sequence[Address], *, tunnels: bool = True) -> bool:
        """Whether a host, or one of its addresses, is in this list.

        Args:
            tunnels: also match the IPv4 address that an IPv6 address leads to. For the deny list only: an address does
                not reveal where a tunnel ends.
        """
        if host and (host in self.names or host.endswith(self.suffixes)):
            return True
        found = [each for address in addresses for each in (_itself(address), *(_embedded(address) if tunnels else ()))]
        return any(address in network for address in found for network in self.networks)


def literal_addresses(host: str) -> tuple[Address, ...]:
    """The addresses that a host denotes without a look-up: IPv4 in any notation that the system's resolver accepts
    (``127.1``, ``2130706433``, ``0x7f.1``), IPv6, or ``localhost``. Empty for other names.

    Raises:
        ValueError: it has the form of an address but is invalid.
    """
    host = host.removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return _LOCALHOST
    if ":" in host:
        return (ipaddress.IPv6Address(host),)
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return ()
    try:
        return (ipaddress.IPv4Address(socket.inet_aton(host)),)
    except OSError:
        raise ValueError("Not an address.") from None


def _itself(address: Address) -> Address:
    """The address; the IPv4 address for an IPv4-mapped IPv6 address."""
    return getattr(address, "ipv4_mapped", None) or address


def _is_never_called(address: Address) -> bool:
    return any(each in network for each in (address, *_embedded(address)) for network in _NEVER)


def _embedded(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to through translation or a tunnel."""
    if not isinstance(address, ipaddress.IPv6Address) or address in _LOCALHOST:
        return
    whole = int(address)
    if any(address in network for network in _EMBEDDED):
        yield ipaddress.IPv4Address(whole & 0xFFFFFFFF)
    if address in _LOCAL_NAT64:  # RFC 6052: the 32 bits are at the end, or split by a zero byte
        yield ipaddress.IPv4Address(whole & 0xFFFFFFFF)
        yield ipaddress.IPv4Address((whole >> 64 & 0xFFFF) << 16 | whole >> 40 & 0xFFFF)
    if whole >> 32 & 0xFFFFFFFF in (0x00005EFE, 0x02005EFE):  # ISATAP
        yield ipaddress.IPv4Address(whole & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _network(entry: str) -> Network | None:
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
    first, last = _itself(network[0]), _itself(network[-1])
    if network.version == 6 and first.version == last.version == 4:
        return ipaddress.ip_network(f"{first}/{network.prefixlen - 96}")
    return network


def _refused(text: str) -> UnsafeEndpointError:
    return UnsafeEndpointError({"api_endpoint": text})
