"""A plan of target updates, as its file has it: what each row would do, what that was judged by, what it would take."""

from collections import Counter
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from schemas.base import Value
from schemas.instants import Instant
from schemas.jobs import TargetUpdate

MOST_ROWS = 200_000  # what a person looks at, and what is held in memory


class PlanAction(StrEnum):
    """``CREATE``: the target has not been shown to us yet. ``SUPERSEDED``: a newer wish for it is there, or follows."""

    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    REFUSED = "refused"

    @property
    def offered(self) -> bool:
        """Whether applying the plan hands it in."""
        return self in (PlanAction.CREATE, PlanAction.CHANGE, PlanAction.UNCHANGED)


class SeenTarget(Value):
    """The remote's last word on a target, as the plan saw it. ``uncertain``: an attempt since may have changed it."""

    target: float
    scorecard_template_name: str
    criterion_or_chapter_id: str
    usecase_name: str
    coaching_plan_name: str
    qa_score: float | None = None
    uncertain: bool = False


class PlanRow(Value):
    """``before`` and ``after`` are the values; ``accepted`` is the value wished last, by whomever.

    ``repeated``: its request key was accepted before, so it is what it was then.
    """

    row: PositiveInt
    line: PositiveInt
    action: PlanAction
    name: str = ""
    before: float | None = Field(default=None, alias="from")
    after: float | None = Field(default=None, alias="to")
    wish: TargetUpdate | None = None
    known: SeenTarget | None = None
    accepted: float | None = None
    repeated: bool = False
    field: str | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.action.offered:
            return self
        if self.wish is None:
            raise ValueError(f"a row to {self.action} has to hold its wish")
        if (self.wish.name, self.wish.target) != (self.name, self.after):
            raise ValueError("name and to are not those of the wish")
        if self.action is PlanAction.CHANGE and self.known is None:
            raise ValueError("a change has to hold the known target that it changes")
        return self


class RemoteForecast(Value):
    """What the plan would ask of one remote. ``jobs_ahead`` wait there already; ``seconds`` include them."""

    remote: str
    reads: NonNegativeInt
    writes: NonNegativeInt
    jobs_ahead: NonNegativeInt
    rate_limit: str
    seconds: NonNegativeFloat


class Plan(Value):
    """``counts`` are those of the rows: a file that was cut or edited by hand does not add up."""

    coachsync_plan: Literal[1]
    file: str
    made_at: Instant
    refreshed: bool
    counts: dict[PlanAction, NonNegativeInt]
    forecast: tuple[RemoteForecast, ...]
    rows: tuple[PlanRow, ...] = Field(max_length=MOST_ROWS)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        found = Counter(row.action for row in self.rows)
        for action in PlanAction:
            if found[action] != self.counts.get(action, 0):
                said = self.counts.get(action, 0)
                raise ValueError(f"counts say {said} to {action}, and the rows hold {found[action]}")
        names = Counter(row.name for row in self.rows if row.action.offered and not row.repeated)
        if twice := next((name for name, count in names.items() if count > 1), None):
            raise ValueError(f"two rows are for {twice}")
        return self

    @property
    def seconds(self) -> float:
        """Remotes do not wait for each other."""
        return max((one.seconds for one in self.forecast), default=0.0)
