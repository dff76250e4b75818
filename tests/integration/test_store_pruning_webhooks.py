"""What was told goes with the retention, delivered or set aside; what is still to be delivered stays, however old."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select, update

from tests.integration.webhook_rig import (
    LONG_AGO,
    attempts_of,
    deliveries_of,
    happening,
    make_endpoint,
    messages,
    set_endpoint,
    states,
    tell,
    tell_some,
)
from worker.store import pruning_webhooks, redriving
from worker.store.engine import Database
from worker.store.outbox import DEAD, DELETED, DELIVERED, DISABLED, PENDING
from worker.store.pruning import prune
from worker.store.tables import deliveries, delivery_attempts
from worker.store.tables import messages as message_table

KEEP = timedelta(days=30)
RECENTLY = datetime(2099, 1, 1, tzinfo=UTC)


def portions(store: Database) -> list[int]:
    """Prune until nothing is left; the rows deleted by each portion."""
    deleted = []
    while True:
        with store.write() as session:
            if not (portion := prune(session, KEEP)):
                return deleted
        deleted.append(portion)


def set_deliveries(store: Database, *ids: int, **values: object) -> None:
    with store.write() as session:
        session.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**values))
        tried = [{"delivery_id": one, "started_at": LONG_AGO, "latency_ms": 3.0, "sender": "one"} for one in ids]
        session.execute(insert(delivery_attempts), tried)


def age(store: Database) -> None:
    """All messages are from long ago."""
    with store.write() as session:
        session.execute(update(message_table).values(created_at=LONG_AGO))


def count(store: Database) -> int:
    with store.read() as session:
        return int(session.execute(select(func.count()).select_from(message_table)).scalar_one())


def test_what_was_delivered_or_set_aside_long_ago_goes_with_its_attempts(store: Database) -> None:
    make_endpoint(store)
    delivered, dead = tell_some(store, 2)
    set_deliveries(store, delivered, state=DELIVERED, finished_at=LONG_AGO)
    set_deliveries(store, dead, state=DEAD, finished_at=LONG_AGO)
    age(store)
    tell_some(store, 1)
    assert portions(store) == [4]
    assert states(store) == [PENDING]
    assert (len(messages(store)), attempts_of(store)) == (1, [])


def test_a_message_that_one_endpoint_has_yet_to_get_stays_with_all_of_its_deliveries(store: Database) -> None:
    make_endpoint(store)
    make_endpoint(store, "ep_2")
    first, _ = tell_some(store, 1)
    set_deliveries(store, first, state=DELIVERED, finished_at=LONG_AGO)
    age(store)
    assert portions(store) == []
    assert (len(messages(store)), states(store), len(attempts_of(store))) == (1, [DELIVERED, PENDING], 1)


def test_an_old_message_whose_delivery_came_to_its_end_lately_stays_to_be_seen(store: Database) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    set_deliveries(store, one, state=DEAD, finished_at=RECENTLY)
    age(store)
    assert portions(store) == []


def test_a_message_that_was_kept_for_a_disabled_endpoint_goes_when_it_is_old(store: Database) -> None:
    make_endpoint(store)
    set_endpoint(store, state=DISABLED)
    tell(store, happening())
    assert portions(store) == []
    age(store)
    assert portions(store) == [1]
    assert messages(store) == []


def test_what_is_sent_again_is_young_again(store: Database) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    set_deliveries(store, one, state=DEAD, finished_at=LONG_AGO)
    age(store)
    with store.write() as session:
        redriving.redrive(session, [one])
    assert portions(store) == []


def test_much_goes_in_portions(store: Database) -> None:
    make_endpoint(store)
    extra = 3
    ids = tell_some(store, pruning_webhooks.AT_ONCE + extra)
    set_deliveries(store, *ids, state=DELIVERED, finished_at=LONG_AGO)
    age(store)
    assert portions(store) == [2 * pruning_webhooks.AT_ONCE, 2 * extra]
    assert (count(store), attempts_of(store)) == (0, [])


def test_what_was_addressed_to_an_endpoint_while_it_was_deleted_is_set_aside_and_holds_no_message(
    store: Database,
) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    set_endpoint(store, state=DELETED)  # by a transaction that did not see the delivery yet
    age(store)
    assert portions(store) == []
    (one,) = deliveries_of(store)
    assert (one.state, one.error) == (DEAD, "the endpoint was deleted")
    set_deliveries(store, one.id, finished_at=LONG_AGO)
    assert portions(store) == [2]
