"""What coachsync.toml says of the roster, the guard, the reconciliation, the webhooks, the gateway.

The policy has a schema of its own.
"""

from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from schemas.names import ProfileName, UsecaseName, check_customer
from schemas.policy import DriftMode
from worker.configuration.values import duration, shown_duration, whole

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
_NOW = timedelta(0)
_YEAR = timedelta(days=365)


class Signing(StrEnum):
    STANDARD_WEBHOOKS = "standard-webhooks"
    HMAC = "hmac-sha256"


def _check_share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("is no share; give a number above 0 and up to 1, like 0.2")
    return float(value)


Share = Annotated[float, BeforeValidator(_check_share)]
Cadence = Annotated[timedelta, duration(_MINUTE, _YEAR)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]{1,500}$")]
SourceSlug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Table(BaseModel):
    """Like what stands in a policy: fields are taken in snake_case or camelCase."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class RosterColumns(_Table):
    """The column of a roster file that holds each field of an agent; a field without one has its own name."""

    agent: ColumnName | None = None
    profile: ColumnName | None = None
    groups: ColumnName | None = None
    usecases: ColumnName | None = None
    coaching_plan_name: ColumnName | None = None
    joined_at: ColumnName | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: dict[str, str] = {}
        for field, column in self:
            if column is not None and (other := seen.setdefault(column, field)) != field:
                raise ValueError(f"{field}: is the column of {other} too; give each field its own")
        return self


class RosterOptions(_Table):
    """``quiet``: how long a storm of events must rest before one job is made of it, at most ``longest`` after it began.

    ``stream`` is a key of the broker's server where events are read from, if one is given.
    """

    columns: RosterColumns = RosterColumns()
    profile: ProfileName | None = None
    source: SourceName = "roster"
    quiet: Annotated[timedelta, duration(_NOW, _HOUR)] = 2 * _SECOND
    longest: Annotated[timedelta, duration(_NOW, _HOUR)] = 15 * _SECOND
    stream: SourceName | None = None

    @model_validator(mode="after")
    def _quiet_fits(self) -> Self:
        if self.longest < self.quiet:
            longest, quiet = shown_duration(self.longest), shown_duration(self.quiet)
            raise ValueError(f'quiet: is longer than longest, {longest}; give longest = "{quiet}" or more')
        return self


class GuardOptions(_Table):
    """Changes above ``share`` of what there is, and above ``floor``, within ``window`` need a person's approval."""

    share: Share = 0.2
    floor: Annotated[int, whole(0, 1_000_000)] = 10
    window: Annotated[timedelta, duration(_MINUTE, _YEAR)] = 24 * _HOUR
    approval_lasts: Annotated[timedelta, duration(_MINUTE, _YEAR)] = 24 * _HOUR


class ReconcileOptions(_Table):
    """Each profile and quota is looked at ``every`` so often, up to ``at_most`` apart while nothing changes.

    Looking takes ``share`` of the rate limit. ``usecases`` have their own pace. The modes say what is done about what
    others have changed.
    """

    every: Cadence = _HOUR
    at_most: Cadence = 24 * _HOUR
    share: Share = 0.05
    target: DriftMode = DriftMode.OBSERVE
    qa_score: DriftMode = DriftMode.OBSERVE
    usecases: dict[UsecaseName, Cadence] = Field(default_factory=dict)


class SourceOptions(_Table):
    """How a source of the roster signs what it posts, and which customers it may speak of; without any, all.

    ``hmac-sha256``: ``header`` holds the HMAC of the body, in hex or base64; with ``timestamp_header`` that of
    ``TIMESTAMP.BODY``, which has to be of now.
    """

    verify: Signing
    secret_env: VariableName | None = None
    secret_file: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None
    header: HeaderName | None = None
    timestamp_header: HeaderName | None = None
    customers: tuple[Annotated[str, AfterValidator(check_customer)], ...] = ()

    def __str__(self) -> str:
        return self.verify

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("needs secret_env or secret_file, one of them, for the secret that it signs with")
        if self.verify is Signing.HMAC and self.header is None:
            raise ValueError("needs header: the one that holds the signature")
        if self.verify is Signing.STANDARD_WEBHOOKS and (self.header or self.timestamp_header):
            raise ValueError("takes no header: standard-webhooks has names of its own")
        return self


class GatewayOptions(_Table):
    """``backlog``: with more jobs waiting to be sent nothing more is taken. The sizes are those of a request's body."""

    backlog: Annotated[int, whole(1, 100_000_000)] = 1_000_000
    json_megabytes: Annotated[int, whole(1, 1_000)] = 8
    file_megabytes: Annotated[int, whole(1, 100_000)] = 1_000
    sources: dict[SourceSlug, SourceOptions] = Field(default_factory=dict)

    @property
    def json_bytes(self) -> int:
        return self.json_megabytes << 20

    @property
    def file_bytes(self) -> int:
        return self.file_megabytes << 20


def _check_network(value: object) -> str:
    text = str(value)
    try:
        if "%" not in text:  # a zone means nothing outside of a machine
            return str(ip_network(text))
    except ValueError:
        pass
    raise ValueError("is no network; give it like 10.20.0.0/16, or an address alone")


class WebhookOptions(_Table):
    """Messages may go to the networks of ``allow`` although they are private.

    ``overlap``: how long a secret that was replaced still signs beside the new one.
    """

    allow_http: StrictBool = False
    allow: tuple[Annotated[str, BeforeValidator(_check_network)], ...] = ()
    overlap: Annotated[timedelta, duration(_NOW, _YEAR)] = 24 * _HOUR
