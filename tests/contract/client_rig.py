"""A client with everything injected, its permits, and a wish: what each test of the client starts from."""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from api_adapter.auth.authenticator import Authenticator
from api_adapter.auth.static import BearerToken
from api_adapter.client import CoachingClient
from api_adapter.idempotency import idempotency_key
from api_adapter.rate_limit.permits import Permit
from api_adapter.transport import Timeouts, Transport
from schemas.coaching import TargetWrite
from schemas.lanes import Lane

PROFILE = "customers/acme/profiles/support"
TARGET = f"{PROFILE}/targets/t-00001"
TEMPLATE = f"{PROFILE}/scorecardTemplates/compliance"
USECASE = f"{PROFILE}/usecases/chat"
KEY = idempotency_key("job-1", salt="the salt of the tests")
TOKEN = "t0ken-of-the-tests"
PERMIT = Permit("remote", Lane.BULK, "group", use_before=float("inf"))
VOID = Permit("remote", Lane.BULK, "group", use_before=0.0)
IMPATIENT = Timeouts(read=0.5)  # where a test waits for an answer that does not come


def write(name: str = TARGET, **fields: object) -> TargetWrite:
    """The full identity of the sandbox's first target; its value is a wish."""
    identity = {
        "name": name,
        "scorecard_template_name": TEMPLATE,
        "criterion_or_chapter_id": "",
        "target": 82.5,
        "usecase_name": USECASE,
        "coaching_plan_name": "",
    }
    return TargetWrite.model_validate(identity | fields)


@dataclass(slots=True)
class Clock:
    """Stands still until it is moved."""

    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def client_of(  # noqa: PLR0913 - what a client is made of
    url: str,
    *,
    authenticator: Authenticator | None = None,
    timeouts: Timeouts | None = None,
    ca_bundle: Path | None = None,
    max_connections: int = 100,
    more_headers: Callable[[], Mapping[str, str]] = dict,
) -> AsyncIterator[CoachingClient]:
    numbers = itertools.count(1)
    async with Transport(ca_bundle=ca_bundle, timeouts=timeouts, max_connections=max_connections) as transport:
        yield CoachingClient(
            base_url=url,
            transport=transport,
            authenticator=authenticator or BearerToken(SecretStr(TOKEN)),
            new_request_id=lambda: f"request-{next(numbers)}",
            clock=Clock(),
            more_headers=more_headers,
        )
