"""What a person does about deliveries: look at them, send them again, recover what an endpoint has missed."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from tests.integration.store_rig import applied, job_ids, take, wish, write
from tests.integration.webhook_rig import (
    LONG_AGO,
    deliveries_of,
    endpoint,
    happening,
    make_endpoint,
    messages,
    set_endpoint,
    states,
    tell,
    tell_some,
)
from worker.core.endpoint_filter import EndpointFilter
from worker.store import endpoints, redriving
from worker.store.endpoints import something_due
from worker.store.engine import Database
from worker.store.outbox import DEAD, DELETED, DELIVERED, DISABLED, ENABLED, PAUSED, PENDING
from worker.store.redriving import DeliveryFilter, Window
from worker.store.tables import deliveries
from worker.store.tables import messages as message_table

FOREVER = datetime(2099, 1, 1, tzinfo=UTC)
EVERYTHING = EndpointFilter()


def set_deliveries(store: Database, ids: list[int], **values: object) -> None:
    with store.write() as session:
        session.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**values))


def told_at(store: Database, *moments: datetime) -> list[int]:
    """A happening at each of these moments; returns their deliveries, in the same order."""
    ids = tell_some(store, len(moments))
    with store.write() as session:
        for one, moment in zip(messages(store)[-len(moments) :], moments, strict=True):
            session.execute(update(message_table).where(message_table.c.seq == one.seq).values(created_at=moment))
    return ids


def listed(store: Database, limit: int = 100, **chosen: object) -> list[int]:
    with store.read() as session:
        found = redriving.list_deliveries(session, DeliveryFilter(**chosen), limit)  # type: ignore[arg-type]
    assert all(one.message_seq == message.seq for one, message in found)
    return [one.id for one, _ in found]


def redrive(store: Database, *ids: int) -> int:
    with store.write() as session:
        return redriving.redrive(session, ids)


def recover(
    store: Database,
    since: datetime = LONG_AGO,
    until: datetime = FOREVER,
    asked: EndpointFilter = EVERYTHING,
    *,
    dry_run: bool = False,
) -> Counter[str]:
    """All pages; only the counts that are not zero."""
    counts: Counter[str] = Counter()
    after: int | None = 0
    while after is not None:
        with store.write() as session:
            page = redriving.recover_page(session, endpoint(store), Window(since, until, asked), after, dry_run=dry_run)
        counts.update(page.counts)
        after = page.last
    return +counts


# Looking


def test_deliveries_are_listed_newest_first_and_all_that_is_given_must_hold(store: Database) -> None:
    make_endpoint(store)
    make_endpoint(store, "ep_2", asks=EndpointFilter.of(["target.*"]))
    write(store, *map(applied, take(store, *job_ids(store, wish(1), wish(2)))))
    tell(store, happening())
    by_endpoint = {name: [one.id for one in deliveries_of(store, name)][::-1] for name in ("ep_1", "ep_2")}
    dead = by_endpoint["ep_1"][0]
    set_deliveries(store, [dead], state=DEAD)
    assert listed(store) == sorted([*by_endpoint["ep_1"], *by_endpoint["ep_2"]], reverse=True)
    assert len(listed(store, limit=2)) == 2
    assert listed(store, endpoint="ep_2") == by_endpoint["ep_2"]
    assert listed(store, state=DEAD) == [dead]
    assert len(listed(store, type="target.updated")) == 4
    assert len(listed(store, job=(1 << 24) | 2)) == 2
    assert len(listed(store, batch=1)) == 5
    assert listed(store, batch=1, state=DEAD) == []
    assert listed(store, since=FOREVER) == []
    assert len(listed(store, since=LONG_AGO)) == 6


def test_one_delivery_is_found_with_its_message_and_none_where_there_is_none(store: Database) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    with store.read() as session:
        found = redriving.find_delivery(session, one)
        assert found
        assert found[1].id == messages(store)[0].id
        assert redriving.find_delivery(session, one + 1) is None
        assert redriving.attempts_of(session, one) == []


def test_ids_come_in_portions_that_go_on_where_the_last_one_ended(store: Database) -> None:
    make_endpoint(store)
    ids = tell_some(store, 5)
    set_deliveries(store, ids[1:], state=DEAD)
    with store.read() as session:
        first = redriving.ids_of(session, DeliveryFilter(state=DEAD), 0, 3)
        rest = redriving.ids_of(session, DeliveryFilter(state=DEAD), first[-1], 3)
    assert (first, rest) == (ids[1:4], ids[4:])


# Sending again


def test_what_is_sent_again_is_due_at_once_from_the_first_attempt_on_under_its_old_id(store: Database) -> None:
    make_endpoint(store)
    dead, delivered = tell_some(store, 2)
    set_deliveries(store, [dead], state=DEAD, attempts=10, status=500, error="gave up", finished_at=LONG_AGO)
    set_deliveries(store, [delivered], state=DELIVERED, attempts=1, status=204, finished_at=LONG_AGO)
    before = messages(store)
    assert redrive(store, dead, delivered) == 2
    assert [(one.state, one.attempts, one.finished_at) for one in deliveries_of(store)] == [(PENDING, 0, None)] * 2
    with store.read() as session:
        assert something_due(session)
    assert messages(store) == before
    assert redrive(store, dead, delivered) == 0, "both are on their way"


def test_what_is_pending_already_keeps_its_turn(store: Database) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    set_deliveries(store, [one], attempts=3, due_at=FOREVER)
    assert redrive(store, one) == 0
    (found,) = deliveries_of(store)
    assert (found.attempts, found.due_at) == (3, FOREVER)


@pytest.mark.parametrize(("state", "sent"), [(ENABLED, 1), (PAUSED, 1), (DISABLED, 0), (DELETED, 0)])
def test_nothing_is_sent_again_to_an_endpoint_that_takes_nothing(store: Database, state: str, sent: int) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    set_deliveries(store, [one], state=DEAD)
    set_endpoint(store, state=state)
    assert redrive(store, one) == sent
    assert states(store) == [PENDING if sent else DEAD]
    with store.read() as session:
        assert redriving.ids_of(session, DeliveryFilter(), 0, 10) == ([one] if sent else [])


# Recovering


def missed(store: Database) -> None:
    """One message that is missing, one that is dead, one that is delivered, one that is pending."""
    make_endpoint(store)
    set_endpoint(store, state=DISABLED)
    tell(store, happening("missing"))
    set_endpoint(store, state=ENABLED)
    dead, delivered, _ = tell_some(store, 3)
    set_deliveries(store, [dead], state=DEAD, attempts=10)
    set_deliveries(store, [delivered], state=DELIVERED)


def test_a_recovery_sends_what_is_missing_and_what_is_dead_and_leaves_the_rest_alone(store: Database) -> None:
    missed(store)
    ids = [one.id for one in messages(store)]
    assert recover(store) == {"missing": 1, "dead": 1, "delivered": 1, "pending": 1}
    assert Counter(states(store)) == {PENDING: 3, DELIVERED: 1}
    assert len({one.message_seq for one in deliveries_of(store)}) == 4
    assert deliveries_of(store)[-1].resource == "missing"
    assert [one.id for one in messages(store)] == ids


def test_a_second_recovery_finds_nothing_more_to_do(store: Database) -> None:
    missed(store)
    recover(store)
    before = deliveries_of(store)
    assert recover(store) == {"delivered": 1, "pending": 3}
    assert deliveries_of(store) == before


def test_a_dry_run_says_the_same_and_changes_nothing(store: Database) -> None:
    missed(store)
    before = deliveries_of(store)
    assert recover(store, dry_run=True) == {"missing": 1, "dead": 1, "delivered": 1, "pending": 1}
    assert deliveries_of(store) == before
    assert recover(store) == {"missing": 1, "dead": 1, "delivered": 1, "pending": 1}


def test_a_window_takes_its_beginning_and_not_its_end(store: Database) -> None:
    make_endpoint(store)
    noon, hour = datetime(2026, 1, 31, 12, tzinfo=UTC), timedelta(hours=1)
    ids = told_at(store, noon - hour, noon, noon + hour, noon + 2 * hour)
    set_deliveries(store, ids, state=DEAD)
    assert recover(store, noon, noon + 2 * hour) == {"dead": 2}
    assert states(store) == [DEAD, PENDING, PENDING, DEAD]


def test_only_the_types_that_are_named_are_recovered_and_only_what_the_endpoint_asks_for(store: Database) -> None:
    make_endpoint(store)
    make_endpoint(store, "ep_all")
    write(store, *map(applied, take(store, *job_ids(store, wish(1)))))
    tell(store, happening())
    set_deliveries(store, [one.id for one in deliveries_of(store, "ep_1")], state=DEAD)
    assert recover(store, asked=EndpointFilter.of(["target.*"])) == {"dead": 1}
    with store.write() as session:
        endpoints.change(session, "ep_1", {"types": frozenset({"remote.*"})})
    assert recover(store) == {"dead": 1}
    assert sorted(states(store, "ep_1")) == [DEAD, PENDING, PENDING]
    assert set(states(store, "ep_all")) == {PENDING}


def test_what_nobody_asked_for_when_it_happened_is_not_there_to_be_recovered(store: Database) -> None:
    make_endpoint(store, asks=EndpointFilter.of(["target.*"]))
    tell(store, happening())
    with store.write() as session:
        endpoints.change(session, "ep_1", {"types": frozenset()})
    assert recover(store) == {}


def test_a_new_endpoint_can_be_given_what_others_were_told(store: Database) -> None:
    make_endpoint(store, "ep_old")
    tell_some(store, 3)
    make_endpoint(store)
    assert recover(store) == {"missing": 3}
    assert states(store, "ep_1") == [PENDING] * 3


def test_more_than_a_page_is_recovered_page_by_page_each_message_once(store: Database) -> None:
    make_endpoint(store, "ep_old")
    tell_some(store, redriving.PAGE + 1)
    make_endpoint(store)
    assert recover(store) == {"missing": redriving.PAGE + 1}
    assert [one.message_seq for one in deliveries_of(store, "ep_1")] == [one.seq for one in messages(store)]
