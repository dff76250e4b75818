"""Pure: whether two processes have the same settings of the remotes, without telling the settings."""

import hashlib
from collections.abc import Iterable, Mapping

from api_adapter.rate_limit.policy import parse_rate_limit
from worker.configuration.remotes import Remote
from worker.core.base_url import parts_of


def fingerprint(remotes: Iterable[Remote]) -> str:
    """No secret goes into it, and nothing that is a machine's own."""
    told = sorted(map(_told, remotes))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def differing(seen: Mapping[str, str | None], ours: str) -> list[str]:
    """The processes whose settings are known to be others than ours."""
    return [name for name, theirs in seen.items() if theirs not in (None, ours)]


def _told(remote: Remote) -> tuple[str, str]:
    said = (
        parts_of(remote.api_url),
        sorted(f"{limit.limit} in {limit.window}" for limit in parse_rate_limit(remote.rate_limit)),
        remote.max_in_flight,
        remote.request_timeout,
        str(remote.idempotency),
        remote.key_memory,
        sorted(remote.customers),
    )
    return remote.name, repr(said)
