"""What a sandbox is started with; what of it can be changed while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from api_adapter.sandbox.idempotency import IdempotencyMode

DEFAULT_TARGETS = 1200


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """``targets`` are seeded for each customer. ``faults`` is a script, as JSON text or as a list.

    Anyone is let in unless ``token`` or ``client_id`` is given. ``latency`` is added to every operation.
    ``cooldown_grace`` spares requests that had left before an answer with ``Retry-After`` came back.
    """

    targets: int = DEFAULT_TARGETS
    rate_limit: str = ""
    faults: str | bytes | Sequence[Any] = ()
    seed: int = 0
    idempotency: IdempotencyMode = IdempotencyMode.OFF
    token: str = ""
    client_id: str = ""
    client_secret: str = ""
    token_lifetime: timedelta = timedelta(hours=1)
    latency: timedelta = timedelta(0)
    omit_defaults: bool = False
    cooldown_grace: timedelta = timedelta(milliseconds=250)
