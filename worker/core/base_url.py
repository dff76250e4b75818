"""Pure: whether two base URLs lead to the same API."""

from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def leads_to_same_api(one: str, other: str) -> bool:
    return parts_of(one) == parts_of(other)


def parts_of(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)  # scheme and hostname are in small letters
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path.rstrip("/")
