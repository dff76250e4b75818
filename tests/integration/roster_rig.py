"""Events of the roster as a source tells them, and what is in the store of them."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from schemas.instants import format_instant
from schemas.roster import ROSTER_EVENT
from worker.configuration.oversight import GuardOptions
from worker.intake.roster_events import EventReceipt, Submission, accept_events
from worker.intake.roster_folding import Event
from worker.store import approvals
from worker.store.engine import Database
from worker.store.oversight_models import Approval
from worker.store.roster_models import AgentRow, RosterEventRow, SetAside

PROFILE = "customers/acme/profiles/support"
VOICE = f"{PROFILE}/usecases/voice"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
OPEN = GuardOptions.model_validate({"share": 1, "floor": 1_000_000})
NARROW = GuardOptions.model_validate({"share": 0.2, "floor": 2})
_IDS = itertools.count(1)


def told(verb: str, agent: str, at: float = 0, *, id_: str = "", **said: Any) -> dict[str, Any]:
    """An event as JSON has it; ``at`` in hours since BEGIN. Who joins is in tier-1, unless it is said otherwise."""
    data: dict[str, Any] = {"agent": agent, "profile": PROFILE}
    if verb in ("joined", "moved"):
        data["groups"] = ["tier-1"]
    return _envelope(f"coaching.roster.agent.{verb}", at, id_, data | said)


def told_all(agents: Iterable[str], at: float = 0, *, id_: str = "", **said: Any) -> dict[str, Any]:
    """A snapshot of these agents, all alike."""
    of_each = {"profile": PROFILE, "groups": ["tier-1"]} | said
    data = {"profile": PROFILE, "agents": [of_each | {"agent": agent} for agent in agents]}
    return _envelope("coaching.roster.snapshot", at, id_, data)


def _envelope(kind: str, at: float, id_: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id_ or f"id-{next(_IDS)}",
        "source": "/hr",
        "type": kind,
        "time": format_instant(BEGIN + timedelta(hours=at)),
        "data": data,
    }


def events_of(given: Iterable[dict[str, Any]]) -> list[Event]:
    return [ROSTER_EVENT.validate_python(one) for one in given]


def submit(store: Database, given: Sequence[dict[str, Any]], guard: GuardOptions = OPEN, **how: Any) -> EventReceipt:
    return accept_events(store, Submission(events_of(given), "test", "a test", **how), guard)


def rows(store: Database) -> list[RosterEventRow]:
    with store.read() as session:
        return list(session.execute(select(RosterEventRow).order_by(RosterEventRow.seq)).scalars())  # type: ignore[arg-type]


def states(store: Database) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows(store):
        found[row.state] = found.get(row.state, 0) + 1
    return found


def agent(store: Database, name: str) -> AgentRow | None:
    with store.read() as session:
        return session.get(AgentRow, (PROFILE, name))


def there(store: Database) -> set[str]:
    with store.read() as session:
        return {row.agent for row in session.execute(select(AgentRow)).scalars() if row.active}


def projection(store: Database) -> dict[str, tuple[bool, str]]:
    """Each agent that is known: whether they are there, and the record."""
    with store.read() as session:
        return {row.agent: (row.active, row.record) for row in session.execute(select(AgentRow)).scalars()}


def aside(store: Database) -> list[SetAside]:
    with store.read() as session:
        return list(session.execute(select(SetAside).order_by(SetAside.id)).scalars())  # type: ignore[arg-type]


def approval(store: Database, approval_id: int | None) -> Approval:
    assert approval_id is not None
    with store.read() as session:
        found = approvals.find(session, approval_id)
    assert found is not None
    return found


def count(store: Database, model: type) -> int:
    with store.read() as session:
        return int(session.execute(select(func.count()).select_from(model)).scalar_one())
