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
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL = 2_000
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052; the local-use 64:ff9b:1::/48 hides its address in more than one way
_IPV4_COMPATIBLE = ip_network("::/96")  # RFC 4291 §2.5.5.1
_UNICAST = ip_network("2000::/3")  # all that IANA has given out of IPv6 to be reached by the public
_SPECIAL = tuple(  # not of the public, although `is_global` says so, in some releases of Python or in all
    map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20"))
)
_METADATA = tuple(  # of clouds; AWS, Google and most others have theirs on link-local addresses
    map(ip_network, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_UNPRINTABLE = re.compile(r"[\s\x00-\x20\x7f\\]")
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_LAST_IS_A_NUMBER = re.compile(
    r"(.*\.)?([0-9]+|0x[0-9a-f]*)"
)  # such a name is read as an IPv4 address: 127.1, 0x7f000001
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """``allowed`` networks are open although they would be guarded."""

    allowed: tuple[Network, ...] = ()

    def objection(self, address: Address) -> str | None:
        """Why nothing is sent there; None where it may be."""
        if _is_in(address, self.allowed):
            return None
        inner = embedded(address)
        if inner is not None:
            return self.objection(inner)
        if not _is_public(address):
            return f"{address} is {_kind(address)}; nothing is sent there unless [webhooks] allow names it"
        return None


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, compatible, translated (NAT64), 6to4."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
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
    parts = _split(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_http):
        plain = "or http://" if allow_http else "(plain http only where [webhooks] allow_http is true)"
        raise ValueError(f"the URL must begin with https:// {plain}")
    if "@" in parts.netloc:
        raise ValueError("the URL has credentials in it; messages are verified by their signature instead")
    if parts.fragment or url.endswith("#"):
        raise ValueError("the URL has a fragment, which no server ever sees; leave it out")
    if not parts.hostname or parts.port == 0:
        raise ValueError("the URL has no host, or the port 0")
    _check_host(parts.hostname, guard)
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
        if "[" in parts.netloc:
            IPv6Address(parts.hostname or "")
    except ValueError:
        raise ValueError("the URL has no valid host or port; give it like https://example.com/hooks") from None
    return parts


def _check_host(host: str, guard: AddressGuard) -> None:
    name = host.removesuffix(".")
    if (address := _literal(host)) is not None:
        if objection := guard.objection(address):
            raise ValueError(objection)
    elif name in _LOCAL_NAMES or name.endswith(".localhost"):
        if objection := guard.objection(IPv4Address("127.0.0.1")):
            raise ValueError(f"{host} is this machine: {objection}")
    elif _LAST_IS_A_NUMBER.fullmatch(name):
        raise ValueError(f"{host[:60]!r} is no way to write an address; give it like 203.0.113.7, or a name")
    elif not _HOST_NAME.fullmatch(name) or not _decodes(name):
        raise ValueError(f"{host[:60]!r} is no host name; give one like example.com")


def _literal(host: str) -> Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{host[:60]!r} has a zone, which is nothing outside of a machine; leave it out")
    return address


def _decodes(name: str) -> bool:
    """What begins with xn-- has to stand for something."""
    try:
        name.encode().decode("idna")
    except UnicodeError:
        return False
    return True


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    special = _is_in(address, _SPECIAL) or _is_in(address, _METADATA)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _kind(address: Address) -> str:
    kinds = {
        "a metadata address": _is_in(address, _METADATA),
        "a loopback address": address.is_loopback,
        "a link-local address": address.is_link_local,
        "a multicast address": address.is_multicast,
        "an unspecified address": address.is_unspecified,
        "a private address": address.is_private and not _is_in(address, _SPECIAL),
    }
    return next((name for name, fits in kinds.items() if fits), "no public address")
