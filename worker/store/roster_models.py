"""The tables of the roster and of what the policy makes of it."""

from datetime import datetime

from sqlalchemy import Float, Index, false
from sqlmodel import Field, SQLModel

from worker.store.columns import big, index_where, instant, ordered_key, serial, words


class RosterEventRow(SQLModel, table=True):
    """One event of the roster, kept as it came (``event``: CloudEvents JSON), once for each source and id.

    ``state``: *waiting* for the planner, *planned*, *held* until a person decides on ``approval_id``, *rejected* by
    one. ``before`` and ``after`` are the agent (JSON, null: not there) on both sides of it; ``outcome`` says in a word
    what it came to: applied, outdated (newer facts are known), unchanged. ``guarded``: it counts for the guard.
    """

    __tablename__ = "roster_events"
    __table_args__ = (
        Index("roster_events_once", "source", "event_id", unique=True),
        Index("roster_events_agent", "profile", "agent", "seq"),
        Index("roster_events_time", "profile", "time"),
        index_where("roster_events_waiting", "seq", where="state = 'waiting'"),
        index_where("roster_events_held", "approval_id", where="state = 'held'"),
        {"sqlite_autoincrement": True},
    )

    seq: int = serial()
    source: str
    event_id: str
    type: str
    time: datetime = instant(nullable=False)
    profile: str
    agent: str
    event: str = words()
    door: str
    state: str
    outcome: str | None = None
    before: str | None = words(nullable=True)
    after: str | None = words(nullable=True)
    guarded: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    approval_id: int | None = big(nullable=True)
    received_at: datetime = instant(nullable=False)
    planned_at: datetime | None = instant()


class SetAside(SQLModel, table=True):
    """An entry of a stream that could not be read as an event: kept as it came, with the reason."""

    __tablename__ = "set_aside"

    id: int = serial()
    door: str
    entry: str
    content: str = words()
    reason: str = words()
    at: datetime = instant(nullable=False)


class AgentRow(SQLModel, table=True):
    """An agent as all events so far have them. ``facts`` holds each field with the time of its newest fact (JSON).

    ``record`` is the agent for readers, ``active`` whether they are there. ``policy_id`` is the policy that was last
    weighed for them, ``review_at`` when it is to be weighed again without any event. Several may share one plan.
    """

    __tablename__ = "agents"
    __table_args__ = (
        index_where("agents_review", "review_at", where="review_at IS NOT NULL"),
        Index("agents_policy", "policy_id"),
        Index("agents_plan", "coaching_plan_name"),
    )

    profile: str = ordered_key()
    agent: str = ordered_key()
    facts: str = words()
    record: str = words()
    active: bool
    coaching_plan_name: str = ""
    policy_id: int | None = big(nullable=True)
    review_at: datetime | None = instant()
    changed_at: datetime = instant(nullable=False)


class PolicyRow(SQLModel, table=True):
    """A policy that was in the settings. The newest adopted one is in force; one that was not waits for approval."""

    __tablename__ = "policies"

    id: int = serial()
    digest: str = Field(unique=True)
    policy: str = words()
    seen_at: datetime = instant(nullable=False)
    adopted_at: datetime | None = instant()
    approval_id: int | None = big(nullable=True)


class Want(SQLModel, table=True):
    """What the policy wants of one target, by what the target is for (``identity``, as in ``schemas.names``).

    ``as_of``: since when it is wanted, by what is known of the roster; ``wanted_at``: since when we know. ``asked``: it
    has become a wish, job ``job_id``. ``obstacle``: why it has not, in words.
    """

    __tablename__ = "wants"
    __table_args__ = (
        index_where("wants_unasked", "identity", where="NOT asked AND obstacle IS NULL"),
        index_where("wants_hindered", "profile", where="NOT asked AND obstacle IS NOT NULL"),
        Index("wants_job", "job_id"),
        Index("wants_agent", "profile", "agent"),
        Index("wants_plan", "coaching_plan_name"),
    )

    identity: str = ordered_key()
    profile: str
    agent: str
    scorecard_template_name: str
    usecase_name: str
    criterion_or_chapter_id: str
    coaching_plan_name: str
    target: float = Field(sa_type=Float)
    as_of: datetime = instant(nullable=False)
    wanted_at: datetime = instant(nullable=False)
    rule: str
    creates: bool
    drift: str | None = None
    event_seq: int | None = big(nullable=True)
    asked: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    job_id: int | None = big(nullable=True)
    obstacle: str | None = words(nullable=True)


class Ask(SQLModel, table=True):
    """What one event asked for, by which rule. ``resource`` is a quota or a want's identity; ``job_id`` if known."""

    __tablename__ = "asks"
    __table_args__ = (
        Index("asks_event", "event_seq"),
        Index("asks_job", "job_id"),
        index_where("asks_open", "resource", where="job_id IS NULL"),
    )

    id: int = serial()
    event_seq: int = big()
    rule: str
    resource: str
    job_id: int | None = big(nullable=True)
