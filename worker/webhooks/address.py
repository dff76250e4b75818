"""Which addresses nothing is sent to on a user's behalf, and which URLs an endpoint may have. Pure.

The check that counts is made on the address that is connected to (``worker.webhooks.post``): a name may resolve to
another one tomorrow, or to two.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL = 2_000
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215
_IPV4_COMPATIBLE = ip_network("::/96")  # RFC 4291 §2.5.5.1
_AZURE_HOST = ip_address("168.63.129.16")  # a public address that answers with the host's own services
_UNPRINTABLE = re.compile(r"[\s\x00-\x20\x7f\\]")
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """``allowed`` networks are open although they would be guarded."""

    allowed: tuple[Network, ...] = ()

    def objection(self, address: Address) -> str | None:
        """Why nothing is sent there; None where it may be."""
        if any(address in network for network in self.allowed if network.version == address.version):
            return None
        inner = embedded(address)
        if inner is not None:
            return self.objection(inner)
        if address == _AZURE_HOST or not address.is_global or address.is_multicast or address.is_reserved:
            return f"{address} is {_kind(address)}; nothing is sent there unless [webhooks] allow names it"
        return None


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, compatible, translated (NAT64), 6to4."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if any(address in network for network in _NAT64) or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Raises ``ValueError`` for what is no network like 10.0.0.0/8."""
    return tuple(ip_network(text) for text in texts)


def check_endpoint_url(url: str, guard: AddressGuard, *, allow_http: bool) -> str:
    """The URL as given; raises ``ValueError`` that says what is wrong with it. A password is never shown."""
    if len(url) > LONGEST_URL:
        raise ValueError(f"the URL has {len(url):,} characters; at most {LONGEST_URL:,} are taken")
    if _UNPRINTABLE.search(url):
        raise ValueError("the URL has a space, a backslash or a control character in it")
    if not url.isascii():
        raise ValueError(
            "the URL has characters outside ASCII; give the host in its xn-- form, the path percent-encoded"
        )
    parts = urlsplit(url)
    host, port = _host_and_port(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_http):
        raise ValueError("the URL must begin with https:// (plain http only where [webhooks] allow_http is true)")
    if "@" in parts.netloc:
        raise ValueError("the URL has credentials in it; messages are verified by their signature instead")
    if parts.fragment or url.endswith("#"):
        raise ValueError("the URL has a fragment, which no server ever sees; leave it out")
    if not host or port == 0:
        raise ValueError("the URL has no host, or the port 0")
    _check_host(host, guard)
    return url


def _host_and_port(url: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise ValueError("the URL has no valid host or port") from None


def _check_host(host: str, guard: AddressGuard) -> None:
    address = _literal(host)
    if address is not None:
        if objection := guard.objection(address):
            raise ValueError(objection)
    elif host in _LOCAL_NAMES or host.endswith(".localhost"):
        if objection := guard.objection(IPv4Address("127.0.0.1")):
            raise ValueError(f"{host} is this machine: {objection}")
    elif re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]*", host):
        raise ValueError(f"{host[:60]!r} is no way to write an address; give it like 203.0.113.7, or a name")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _kind(address: Address) -> str:
    kinds = {
        "a metadata address": address == _AZURE_HOST,
        "a loopback address": address.is_loopback,
        "a link-local address": address.is_link_local,
        "a multicast address": address.is_multicast,
        "an unspecified address": address.is_unspecified,
        "a private address": address.is_private,
    }
    return next((name for name, fits in kinds.items() if fits), "no public address")
