"""The statements that run all the time use their indexes, on both databases, over thousands of rows."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlmodel import Session

from schemas.ids import job_id
from schemas.lanes import Lane
from tests.integration.explain_rig import analyze, filled_once, plans, scans
from tests.integration.store_rig import LASTS, WORKER, tried, wish
from worker.core.decisions import Retry
from worker.store.acceptance import _lock_active, earlier_keys, lock_resources
from worker.store.claims import Claimed, Lease, claim, rescue, something_expired
from worker.store.dispatching import something_due, take_due, unpublish_all
from worker.store.engine import Database, database_now
from worker.store.records import record
from worker.store.tables import jobs, resources

ROWS = 4_000
TABLES = ("jobs", "resources")
NOW = datetime(2026, 1, 31, tzinfo=UTC)
STATES = ("pending", "running", *["succeeded"] * 8)
IDS = [job_id(1, row) for row in range(1, 20)]
NAMES = [wish(row).name for row in range(1, 20)]
HELD = Claimed(
    IDS[0], 0, wish(1).kind, NAMES[0], wish(1).model_dump_json(), False, 0, 0, 0, False, NOW, None, None  # noqa: FBT003 - a row
)  # fmt: skip


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Database]]:
    """A store with thousands of jobs of all states, by the database's kind; filled once."""
    with filled_once(request, _fill) as stores:
        yield stores


def _fill(store: Database) -> None:
    with store.write() as session:
        session.execute(insert(jobs), [row(number) for number in range(1, ROWS + 1)])
        names = [{"name": wish(number).name, "version": 1, "newest_job_id": 1} for number in range(1, ROWS + 1)]
        session.execute(insert(resources), names)
    analyze(store)


def row(number: int) -> dict[str, Any]:
    state = STATES[number % len(STATES)]
    return {
        "id": job_id(1, number),
        "batch_id": 1,
        "kind": "target_update",
        "remote": "default",
        "lane": "bulk",
        "resource": wish(number).name,
        "wish": wish(number).model_dump_json(),
        "version": number,
        "request_key": f"k-{number}",
        "state": state,
        "due_at": NOW + timedelta(seconds=number),
        "lease_until": NOW + timedelta(days=36_500) if state == "running" else None,
        "created_at": NOW,
    }


def take_pending(session: Session) -> object:
    return claim(session, IDS, Lease("m-1", LASTS), database_now(session))


def take_due_ones(session: Session) -> object:
    return take_due(session, "default", Lane.BULK, 50)


def rescue_expired(session: Session) -> object:
    return something_expired(session), rescue(session)


def rescue_some(session: Session) -> object:
    session.execute(text("UPDATE jobs SET lease_until = due_at WHERE resource = :name"), {"name": NAMES[0]})
    return rescue(session)


def record_some(session: Session) -> object:
    retry = Retry(timedelta(0), failure=True)
    return record(session, [tried(HELD, retry)], WORKER)


def look_up_request_keys(session: Session) -> object:
    offers = [Offered(key) for key in ("k-1", "k-2", "new")]
    return earlier_keys(session, offers)  # type: ignore[arg-type]  # only the key is looked at


def stand(session: Session) -> object:
    return lock_resources(session, NAMES[:4]), _lock_active(session, NAMES[:4])


class Offered:
    """As much of an offer as the look-up takes."""

    def __init__(self, key: str) -> None:
        self.wish = wish(1, request_key=key)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize(
    ("step", "index"),
    [
        (take_pending, "jobs_one_running"),
        (take_due_ones, "jobs_due"),
        (something_due, "jobs_due"),
        (rescue_expired, "jobs_leases"),
        (rescue_some, "jobs_one_pending"),
        (unpublish_all, "jobs_published"),
        (record_some, "jobs_one_pending"),
        (look_up_request_keys, "jobs_request_key"),
        (stand, "resources"),
    ],
)
def test_no_statement_of_the_walk_reads_a_table_from_end_to_end(
    full: Callable[[str], Database], kind: str, step: Callable[[Session], object], index: str
) -> None:
    told = plans(full(kind), step, TABLES)
    assert told
    assert [scan for plan in told for scan in scans(plan, TABLES)] == []
    assert any(index in plan.partition("\n")[2] for plan in told), "\n\n".join(told)
