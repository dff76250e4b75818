"""What the admin operations take, checked."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api_adapter.sandbox.errors import OptionsError, Refusal, SeedError
from api_adapter.sandbox.idempotency import IdempotencyMode
from api_adapter.sandbox.quota import Agent
from api_adapter.sandbox.target_fields import fields_from_body
from api_adapter.sandbox.targets import Target
from schemas.instants import Instant, parse_instant
from schemas.names import TARGET, ProfileName

T = TypeVar("T")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SettingsBody(_Body):
    """What can be changed while the sandbox runs; ``latency`` is seconds."""

    idempotency: IdempotencyMode = IdempotencyMode.OFF
    token: str = ""
    latency: float = Field(default=0.0, ge=0, le=60)
    omit_defaults: bool = False

    def changes(self) -> dict[str, Any]:
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "latency" in given:
            given["latency"] = timedelta(seconds=given["latency"])
        return given


class LimitBody(_Body):
    rate_limit: str


class SampleBody(_Body):
    count: int = Field(ge=0, le=1_000_000)
    customer: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,64}$")


class AgentBody(_Body):
    user: str
    group: str = ""
    active: bool = True
    usecases: tuple[str, ...] = ()
    since: Instant | None = None
    until: Instant | None = None


class RosterBody(_Body):
    profile: ProfileName
    agents: tuple[AgentBody, ...]

    def roster(self) -> tuple[Agent, ...]:
        return tuple(Agent(**dict(agent)) for agent in self.agents)


def check_body(kind: type[T], value: Any) -> T:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise OptionsError(f"{where}: {first['msg']}") from None


def seeded_targets(bodies: list[Any], default: Target) -> list[Target]:
    """Targets as CreateTarget takes them, each with its name; times are kept where given."""
    return [_seeded(body, default, number) for number, body in enumerate(bodies, start=1)]


def _seeded(body: Any, default: Target, number: int) -> Target:
    try:
        fields = fields_from_body(body)
        created, updated = _time(body.get("createTime")), _time(body.get("updateTime"))
        name = TARGET.check(body.get("name") or "")
    except (Refusal, ValueError, AttributeError) as error:
        raise SeedError(f"target {number}: {error}") from None
    return Target(
        name=name,
        scorecard_template_name=fields.scorecard_template_name,
        usecase_name=fields.usecase_name,
        target=fields.target,
        criterion_or_chapter_id=fields.criterion_or_chapter_id,
        coaching_plan_name=fields.coaching_plan_name,
        qa_score=fields.qa_score or 0.0,
        create_time=created or default.create_time,
        update_time=updated or default.update_time,
    )


def _time(value: object) -> datetime | None:
    time = None if value is None else parse_instant(value)
    return time if isinstance(time, datetime) else None
