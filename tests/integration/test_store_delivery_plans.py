"""What a deliverer asks several times a second uses its indexes, with 100,000 deliveries behind it and 50,000 ahead."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import Session

from tests.integration.explain_rig import analyze, filled_once, plans, scans
from tests.integration.webhook_rig import make_endpoint
from worker.store import endpoints
from worker.store.deliveries import due
from worker.store.engine import Database
from worker.store.webhook_models import Endpoint

DELIVERED, ALL = 100_000, 150_000
TABLES = ("webhook_deliveries", "webhook_messages")
# Of what is pending half is for an endpoint that wants order; half of that has failed since the statistics were made.
NUMBERS = f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {ALL})"  # noqa: S608 - our own
MESSAGES = f"""
    INSERT INTO webhook_messages (seq, id, type, created_at, resource, body) {NUMBERS}
    SELECT i, 'msg_' || i, 'target.updated', '2026-01-01', 'r' || (i % 1000), '{{}}' FROM numbers
"""  # noqa: S608 - as above
DELIVERIES = f"""
    INSERT INTO webhook_deliveries (message_seq, endpoint_id, resource, state, due_at, attempts, created_at) {NUMBERS}
    SELECT i, CASE i % 2 WHEN 0 THEN 'ep_0' ELSE 'ep_1' END, 'r' || (i % 1000),
        CASE WHEN i <= {DELIVERED} THEN 'delivered' ELSE 'pending' END,
        '2026-01-01', 0, '2026-01-01'
    FROM numbers
"""  # noqa: S608 - as above
FAILURES = f"UPDATE webhook_deliveries SET due_at = '2099-01-01' WHERE id > {DELIVERED} AND id % 4 = 1"  # noqa: S608 - as above


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Database]]:
    """Such a store by the database's kind; filled once."""
    with filled_once(request, _fill) as stores:
        yield stores


def _fill(store: Database) -> None:
    make_endpoint(store, "ep_0")
    make_endpoint(store, "ep_1", ordered=True)
    with store.write() as session:
        for statement in (MESSAGES, DELIVERIES):
            session.execute(text(statement))
    analyze(store)
    with store.write() as session:
        session.execute(text(FAILURES))


def due_ones(session: Session) -> object:
    return due(session, session.get_one(Endpoint, "ep_0"), 200)


def due_in_order(session: Session) -> object:
    found = due(session, session.get_one(Endpoint, "ep_1"), 200)
    assert len(found) == 200
    return found


def take(session: Session) -> object:
    return endpoints.take(session, "one", timedelta(seconds=30))


def depth(session: Session) -> object:
    return endpoints.depths_of(session, ["ep_0", "ep_1"])


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize(
    ("step", "indexes"),
    [
        (due_ones, ["webhook_deliveries_due"]),
        (due_in_order, ["webhook_deliveries_due", "webhook_deliveries_order"]),
        (endpoints.something_due, ["webhook_deliveries_due"]),
        (take, ["webhook_deliveries_due"]),
        (depth, ["webhook_deliveries_dead"]),
    ],
)
def test_no_statement_of_a_deliverer_reads_a_table_from_end_to_end(
    full: Callable[[str], Database], kind: str, step: Callable[[Session], object], indexes: list[str]
) -> None:
    told = plans(full(kind), step, TABLES)
    assert told
    assert [scan for plan in told for scan in scans(plan, TABLES)] == []
    for index in indexes:
        assert any(index in plan for plan in told), "\n\n".join(told)
