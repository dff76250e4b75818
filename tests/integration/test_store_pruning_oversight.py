"""The past of the roster and of the reconciliation goes with the retention; what still matters stays."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, select, update

from tests.integration.oversight_rig import PROFILE, Centre, event, snapshot
from worker.core.guard import GuardTripped
from worker.store.engine import Database
from worker.store.oversight_models import Drift, Reconciliation
from worker.store.pruning import prune
from worker.store.records import NO_JOB, Tried, Worker, record_read
from worker.store.roster import Unreadable, put_aside
from worker.store.roster_models import AgentRow
from worker.store.tables import agents, asks, attempts, drifts, reconciliations, roster_events, set_aside, wants

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RECENTLY = datetime(2099, 1, 1, tzinfo=UTC)
KEEP = timedelta(days=30)


def prune_all(store: Database) -> None:
    while True:
        with store.write() as session:
            if not prune(session, KEEP):
                return


def count(store: Database, table: Table) -> int:
    with store.read() as session:
        return int(session.execute(select(func.count()).select_from(table)).scalar_one())


def age(store: Database, table: Table, **values: Any) -> None:
    with store.write() as session:
        session.execute(update(table).values(**values))


def test_old_events_go_with_what_they_asked_for_and_the_roster_and_the_wants_stay(store: Database) -> None:
    centre = Centre(store)
    told = [event("joined", "ann"), event("moved", "ann", 1, groups=["tier-2"])]
    centre.tell(*told)
    centre.plan()
    before = centre.wants()["ann"].target
    age(store, roster_events, received_at=LONG_AGO)
    centre.tell(event("joined", "bob", 2))
    prune_all(store)
    assert (count(store, roster_events), count(store, asks)) == (1, 0)
    assert count(store, agents) == 2
    assert centre.wants()["ann"].target == before
    again = centre.tell(*told)
    assert (again.accepted, again.duplicates, again.changes) == (2, 0, {})
    centre.plan()
    assert centre.wants()["ann"].target == before
    assert count(store, wants) == 2


def test_an_event_that_waits_or_is_held_is_never_too_old(store: Database) -> None:
    centre = Centre(store)
    centre.tell(*(event("joined", f"a{number}") for number in range(40)))
    centre.plan()
    held = centre.tell(*(event("left", f"a{number}", 5) for number in range(30)), hold=True)
    assert held.held == 30
    centre.tell(event("joined", "late", 6))
    age(store, roster_events, received_at=LONG_AGO)
    prune_all(store)
    assert count(store, roster_events) == 31
    with pytest.raises(GuardTripped):
        centre.tell(*(event("left", f"a{number}", 7) for number in range(30)))


def test_closed_drifts_old_passes_reads_and_what_was_set_aside_go(store: Database) -> None:
    with store.write() as session:
        for finished in (LONG_AGO, LONG_AGO, None):
            session.add(
                Reconciliation(
                    remote="default", profile=PROFILE, reads="list", started_at=LONG_AGO, finished_at=finished
                )
            )
        for number, closed in enumerate((LONG_AGO, RECENTLY, None)):
            session.add(
                Drift(
                    reconciliation_id=1,
                    resource=f"r{number}",
                    field="target",
                    kind="changed",
                    wanted="1",
                    found="2",
                    action="observed",
                    found_at=LONG_AGO,
                    closed_at=closed,
                )
            )
        for at in (LONG_AGO, RECENTLY):
            read = Tried("list_targets", at, 1.0, 200, "answered", None, f"r-{at.year}")
            record_read(session, read, Worker("default", "tests:1"))
            session.execute(update(attempts).where(attempts.c.request_id == f"r-{at.year}").values(started_at=at))
            put_aside(session, "stream", [Unreadable(f"e-{at.year}", "{}", "no event")], at)
    prune_all(store)
    with store.read() as session:
        kept = session.execute(select(attempts.c.started_at).where(attempts.c.job_id == NO_JOB)).scalars().all()
    assert kept == [RECENTLY]
    assert count(store, drifts) == 2
    assert count(store, reconciliations) == 2, "the one under way, and the newest"
    assert count(store, set_aside) == 1


def test_the_newest_whole_roster_stays_since_what_comes_late_is_held_against_it(store: Database) -> None:
    """Who is new in the next one has joined since, and who was not in this one was not there."""
    centre = Centre(store)
    centre.tell(snapshot(["ann", "bob"]), snapshot(["ann"], 24))
    centre.plan()
    age(store, roster_events, received_at=LONG_AGO)
    prune_all(store)
    assert count(store, roster_events) == 1

    centre.tell(event("joined", "late", 23))
    centre.tell(snapshot(["ann", "new"], 48))
    with store.read() as session:
        known = {row.agent: row for row in session.execute(select(AgentRow)).scalars()}
    assert {name for name, row in known.items() if row.active} == {"ann", "new"}
    assert '"joinedAt":"2026-01-03T00:00:00Z"' in known["new"].record
