"""One remote: a Coaching API with its own URL, authentication and limits, and the customers it serves."""

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.names import PROFILE
from worker.configuration.credentials import Credentials, NoCredentials
from worker.configuration.values import (
    KEY_MEMORY,
    ApiUrl,
    CertificatesFile,
    Idempotency,
    KeyMemory,
    RateLimit,
    RequestTimeout,
    whole,
)

DEFAULT_REMOTE = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Remote:
    """``customers`` is empty for the default remote: it serves all whom no other names.

    ``key_memory``: how long it is taken to remember an idempotency key, where it honours them.
    """

    name: str
    api_url: str
    credentials: Credentials
    rate_limit: str
    max_in_flight: int
    request_timeout: timedelta
    idempotency: Idempotency
    key_memory: timedelta = KEY_MEMORY
    ca_bundle: Path | None = None
    customers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoRemote:
    """No remote serves ``customer``; ``message`` says what to set."""

    customer: str
    message: str


class RemoteOptions(BaseModel):
    """What the top level of the settings and each ``[remotes.NAME]`` table may say alike."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_url: ApiUrl | None = None
    rate_limit: RateLimit = "10/second"
    max_in_flight: Annotated[int, whole(1, 10_000)] = 32
    request_timeout: RequestTimeout = timedelta(seconds=10)
    idempotency: Idempotency = Idempotency.READ
    key_memory: KeyMemory = KEY_MEMORY
    ca_bundle: CertificatesFile | None = None
    credentials: Credentials = Field(default=NoCredentials(), repr=False)

    def remote(self, name: str, customers: tuple[str, ...] = ()) -> Remote | None:
        """The remote these options make, if they name a URL."""
        if self.api_url is None:
            return None
        return Remote(
            name=name,
            api_url=self.api_url,
            credentials=self.credentials,
            rate_limit=self.rate_limit,
            max_in_flight=self.max_in_flight,
            request_timeout=self.request_timeout,
            idempotency=self.idempotency,
            key_memory=self.key_memory,
            ca_bundle=self.ca_bundle,
            customers=customers,
        )


def _check_customers(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError('names no customer; give a list of customer ids, like ["acme"]')
    for customer in value:
        try:
            PROFILE.check(f"customers/{customer}/profiles/any")
        except ValueError:
            raise ValueError(f"has {customer!r:.80}, which is no customer id (letters, digits, . _ ~ -)") from None
    return tuple(map(str, value))


class RemoteTable(RemoteOptions):
    """A ``[remotes.NAME]`` table."""

    customers: Annotated[tuple[str, ...], BeforeValidator(_check_customers)]


def check_remote_name(name: str) -> list[str]:
    """What is wrong with it: the name goes into log lines, metrics and the limiter's keys."""
    if name == DEFAULT_REMOTE:
        return ["remotes.default: the remote of this name is made by the top level's api_url; take another name"]
    if not _NAME.fullmatch(name):
        return [f"remotes.{name!r:.60}: give a name of up to 40 lower-case letters, digits, _ and -"]
    return []
