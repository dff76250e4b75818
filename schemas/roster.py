"""The roster: who is coached, and the events that tell of its changes (CloudEvents 1.0, JSON format).

Source: CloudEvents 1.0.2 §3 and its JSON event format. ``time`` is required here, because it orders the facts of an
agent; unknown attributes are extensions and are ignored, as the specification has it.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, field_validator, model_validator

from schemas.base import Value
from schemas.coaching import AgentOrGroupName
from schemas.instants import Instant
from schemas.names import CoachingPlanNameOrEmpty, ProfileName, UsecaseName, check_same_profile


class RosterEventType(StrEnum):
    JOINED = "coaching.roster.agent.joined"
    LEFT = "coaching.roster.agent.left"
    MOVED = "coaching.roster.agent.moved"
    CHANGED = "coaching.roster.agent.changed"
    SNAPSHOT = "coaching.roster.snapshot"


Groups = tuple[AgentOrGroupName, ...]
Usecases = tuple[UsecaseName, ...]


class _OfAgent(Value):
    """``agent`` is the source's own id of the person; within a profile it names one."""

    agent: AgentOrGroupName
    profile: ProfileName

    @model_validator(mode="after")
    def _one_profile(self) -> Self:
        named: dict[str, Any] = {"coachingPlanName": getattr(self, "coaching_plan_name", None)}
        for number, usecase in enumerate(getattr(self, "usecases", None) or ()):
            named[f"usecases[{number}]"] = usecase
        check_same_profile(f"{self.profile}/", **named)
        return self

    @field_validator("groups", "usecases", check_fields=False)
    @classmethod
    def _without_doubles(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """A set, in one order: what is the same compares as the same."""
        return value if value is None else tuple(sorted(set(value)))


class RosterAgent(_OfAgent):
    """One agent as the roster has them. An empty ``coaching_plan_name``: no plan yet, so no targets of their own."""

    groups: Groups = ()
    usecases: Usecases = ()
    coaching_plan_name: CoachingPlanNameOrEmpty = ""
    joined_at: Instant | None = None


class AgentLeft(_OfAgent):
    """The agent is no longer there."""


class AgentMoved(_OfAgent):
    """The agent is in these groups now; what is not stated stays."""

    groups: Groups
    usecases: Usecases | None = None
    coaching_plan_name: CoachingPlanNameOrEmpty | None = None


class AgentChanged(_OfAgent):
    """Something about the agent changed; what is not stated stays."""

    groups: Groups | None = None
    usecases: Usecases | None = None
    coaching_plan_name: CoachingPlanNameOrEmpty | None = None
    joined_at: Instant | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.model_fields_set <= {"agent", "profile"}:
            raise ValueError("a change without groups, usecases, coachingPlanName and joinedAt changes nothing")
        return self


class RosterSnapshot(Value):
    """All agents of a profile at the event's time: who is not in it has left."""

    profile: ProfileName
    agents: tuple[RosterAgent, ...]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[str] = set()
        for number, agent in enumerate(self.agents):
            if agent.profile != self.profile:
                raise ValueError(f"agents[{number}] belongs to {agent.profile}, the snapshot is of {self.profile}")
            if agent.agent in seen:
                raise ValueError(f"agents[{number}]: {agent.agent!r:.80} is in the snapshot twice")
            seen.add(agent.agent)
        return self


class _Event(Value):
    """The envelope. (``source``, ``id``) names the event: the same pair again is the same event."""

    model_config = ConfigDict(extra="ignore")

    specversion: Literal["1.0"]
    id: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,255}$")]
    source: Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]{1,500}$")]
    time: Instant
    subject: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    datacontenttype: Literal["application/json"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _data_is_json(cls, value: object) -> object:
        if isinstance(value, dict) and "data_base64" in value:
            raise ValueError("data_base64 is not taken; give the data as JSON in data")
        return value


class JoinedEvent(_Event):
    type: Literal[RosterEventType.JOINED]
    data: RosterAgent


class LeftEvent(_Event):
    type: Literal[RosterEventType.LEFT]
    data: AgentLeft


class MovedEvent(_Event):
    type: Literal[RosterEventType.MOVED]
    data: AgentMoved


class ChangedEvent(_Event):
    type: Literal[RosterEventType.CHANGED]
    data: AgentChanged


class SnapshotEvent(_Event):
    type: Literal[RosterEventType.SNAPSHOT]
    data: RosterSnapshot


AgentEvent = JoinedEvent | LeftEvent | MovedEvent | ChangedEvent
RosterEvent = Annotated[AgentEvent | SnapshotEvent, Field(discriminator="type")]
ROSTER_EVENT: TypeAdapter[AgentEvent | SnapshotEvent] = TypeAdapter(RosterEvent)
