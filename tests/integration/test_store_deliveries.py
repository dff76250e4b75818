"""Deliveries: what is due in which order, and what each answer makes of a delivery and of its endpoint."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import update

from tests.integration.webhook_rig import (
    LONG_AGO,
    attempts_of,
    bodies,
    deliveries_of,
    endpoint,
    happening,
    make_due,
    make_endpoint,
    set_endpoint,
    states,
    tell,
    tell_some,
    types,
)
from worker.core.delivery import OPENS_AFTER, PATIENCE, SCHEDULE, Reply
from worker.core.endpoint_filter import EndpointFilter
from worker.store import deliveries, endpoints, redriving
from worker.store.deliveries import Due, Recorded, Sender, Sent
from worker.store.engine import Database, database_now
from worker.store.outbox import DEAD, DELETED, DELIVERED, DISABLED, PENDING
from worker.store.tables import deliveries as delivery_table

LASTS = timedelta(seconds=30)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
OK, BROKEN, GONE = Reply(204), Reply(500), Reply(410)
_STARTS = (datetime(2026, 1, 1, tzinfo=UTC) + number * SECOND for number in count())
FAR_AHEAD = datetime(2099, 1, 1, tzinfo=UTC)


def due(store: Database, name: str = "ep_1", limit: int = 100) -> list[Due]:
    with store.read() as session:
        return deliveries.due(session, endpoint(store, name), limit)


def due_ids(store: Database, name: str = "ep_1", limit: int = 100) -> list[int]:
    return [one.id for one in due(store, name, limit)]


def take(store: Database) -> int:
    """Taken by the process ``one``, whoever has it; returns the fence."""
    fence = endpoint(store).fence + 1
    set_endpoint(store, owner="one", owner_until=FAR_AHEAD, fence=fence)
    return fence


def sent(one: Due, reply: Reply) -> Sent:
    return Sent(one, next(_STARTS), 3.0, reply)


def record(store: Database, fence: int, *group: Sent) -> Recorded:
    with store.write() as session:
        return deliveries.record(session, "ep_1", fence, group, Sender("one", lambda: 0.5))


def answer(store: Database, *replies: Reply) -> Recorded:
    """Send what is due, and record these answers together."""
    fence = take(store)
    return record(store, fence, *map(sent, due(store, limit=len(replies)), replies))


def held(store: Database) -> timedelta:
    """For how long nothing is sent to the endpoint."""
    until = endpoint(store).held_until
    with store.read() as session:
        return max(timedelta(0), until - database_now(session)) if until else timedelta(0)


def wait_of(store: Database, delivery: int) -> timedelta:
    (one,) = [one for one in deliveries_of(store) if one.id == delivery]
    with store.read() as session:
        return one.due_at - database_now(session)


# What is due


def test_what_is_due_goes_the_longest_due_first_and_carries_what_is_signed(store: Database) -> None:
    make_endpoint(store)
    make_endpoint(store, "ep_2")
    tell_some(store, 3)
    first, second, third = (one.id for one in deliveries_of(store, "ep_1"))
    with store.write() as session:
        session.execute(update(delivery_table).where(delivery_table.c.id == third).values(due_at=LONG_AGO))
        session.execute(update(delivery_table).where(delivery_table.c.id == first).values(due_at=FAR_AHEAD))
    assert due_ids(store) == [third, second]
    assert due_ids(store, limit=1) == [third]
    message = due(store)[0]
    assert message.message_id.startswith("msg_")
    assert '"type":"remote.quarantined"' in message.body


def test_in_order_only_the_first_of_each_resource_is_due_and_what_is_about_none_is_free(store: Database) -> None:
    make_endpoint(store, ordered=True)
    tell(store, *map(happening, ("a", "a", "b", "a", None, None, "b")))
    a, _, b, _, free, free_too, _ = (one.id for one in deliveries_of(store))
    assert due_ids(store) == [a, b, free, free_too]


def test_in_order_a_first_one_that_waits_holds_up_its_resource_and_no_other(store: Database) -> None:
    make_endpoint(store, ordered=True)
    tell(store, *map(happening, ("a", "a", "b", "b")))
    a, a_next, b, b_next = (one.id for one in deliveries_of(store))
    answer(store, BROKEN, OK)
    assert due_ids(store) == [b_next]
    make_due(store, [a])
    assert due_ids(store) == [a, b_next]
    with store.write() as session:
        session.execute(update(delivery_table).where(delivery_table.c.id == a).values(state=DEAD))
    assert due_ids(store) == [a_next, b_next], "what is set aside holds up nothing"
    assert states(store)[b - 1] == DELIVERED


def test_in_order_is_by_what_happened_first_and_not_by_what_is_due_first(store: Database) -> None:
    make_endpoint(store, ordered=True)
    tell(store, happening("a"), happening("a"))
    first, second = (one.id for one in deliveries_of(store))
    make_due(store, [second])
    assert due_ids(store) == [first]


def test_order_is_kept_for_each_endpoint_by_itself(store: Database) -> None:
    make_endpoint(store, ordered=True)
    make_endpoint(store, "ep_2", ordered=True)
    tell(store, happening("a"), happening("a"))
    answer(store, OK)
    assert due_ids(store, "ep_1") == [deliveries_of(store, "ep_1")[1].id]
    assert due_ids(store, "ep_2") == [deliveries_of(store, "ep_2")[0].id]


# What an answer makes of a delivery


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_success_delivers_at_the_first_attempt(store: Database, status: int) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    recorded = answer(store, Reply(status))
    (one,) = deliveries_of(store)
    assert (one.state, one.attempts, one.status, one.error) == (DELIVERED, 1, status, None)
    assert one.finished_at
    assert (recorded.ours, recorded.state, held(store)) == (True, "enabled", timedelta(0))
    assert due(store) == []


@pytest.mark.parametrize(
    ("reply", "status", "error"),
    [
        (BROKEN, 500, "it answered 500"),
        (Reply(301), 301, "it answered 301"),
        (Reply(404, body="no such page"), 404, "it answered 404"),
        (Reply(error="not sent: out of time"), None, "not sent: out of time"),
    ],
    ids=str,
)
def test_anything_else_is_tried_again_after_the_first_pause_and_says_why(
    store: Database, reply: Reply, status: int | None, error: str
) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    answer(store, reply)
    (found,) = deliveries_of(store)
    assert (found.state, found.attempts, found.status, found.error) == (PENDING, 1, status, error)
    assert found.finished_at is None
    assert SCHEDULE[0] - SECOND < wait_of(store, one) <= SCHEDULE[0]
    (attempt,) = attempts_of(store)
    assert (attempt.delivery_id, attempt.status, attempt.error, attempt.body) == (
        one, status, reply.error, reply.body or None,
    )  # fmt: skip


def test_the_pauses_grow_and_after_the_last_the_delivery_is_set_aside(store: Database) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    for pause in SCHEDULE:
        answer(store, BROKEN)
        assert pause - 5 * SECOND < wait_of(store, one) <= pause
        make_due(store)
    answer(store, BROKEN)
    (found,) = deliveries_of(store)
    assert (found.state, found.attempts) == (DEAD, len(SCHEDULE) + 1)
    assert found.error == "gave up after 10 attempts; the last: it answered 500"
    assert found.finished_at
    assert len(attempts_of(store)) == len(SCHEDULE) + 1


def test_words_that_a_database_cannot_hold_cost_no_record(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    answer(store, Reply(500, body="a\0b"))
    assert attempts_of(store)[0].body in ("a\0b", "a\ufffdb")


def test_a_wait_that_is_asked_for_holds_the_delivery_and_the_whole_endpoint(store: Database) -> None:
    make_endpoint(store)
    first, _ = tell_some(store, 2)
    answer(store, Reply(429, retry_after=5 * MINUTE))
    assert 5 * MINUTE - 5 * SECOND < held(store) <= 5 * MINUTE
    assert 5 * MINUTE - 5 * SECOND < wait_of(store, first) <= 5 * MINUTE
    set_endpoint(store, owner=None)
    with store.write() as session:
        assert not endpoints.something_due(session)
        assert endpoints.take(session, "two", LASTS) is None


def test_a_success_that_was_under_way_ends_no_wait_that_was_asked_for(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 3)
    answer(store, Reply(503, retry_after=5 * MINUTE), OK)
    assert held(store) > 4 * MINUTE
    set_endpoint(store, held_until=LONG_AGO)
    answer(store, OK)
    assert held(store) == timedelta(0)


# What answers make of an endpoint


def test_failures_in_a_run_open_the_circuit_and_one_success_closes_it(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, OPENS_AFTER + 1)
    answer(store, *[BROKEN] * (OPENS_AFTER - 1))
    assert held(store) == timedelta(0)
    answer(store, BROKEN)
    assert endpoints.health_of(endpoint(store)).is_open
    assert 10 * SECOND < held(store) <= 15 * SECOND
    set_endpoint(store, held_until=LONG_AGO)
    make_due(store)
    answer(store, OK)
    assert (endpoints.health_of(endpoint(store)).is_open, held(store)) == (False, timedelta(0))


def test_failures_that_were_under_way_when_the_circuit_opened_lengthen_no_pause(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, OPENS_AFTER + 5)
    answer(store, *[BROKEN] * (OPENS_AFTER + 5))
    assert endpoint(store).failures == OPENS_AFTER
    assert held(store) <= 15 * SECOND


def test_gone_disables_at_once_sets_the_rest_aside_and_tells_the_others_once(store: Database) -> None:
    make_endpoint(store)
    make_endpoint(store, "ep_2", asks=EndpointFilter.of(["endpoint.*"]))
    tell_some(store, 4)
    recorded = answer(store, GONE, GONE)
    assert (recorded.state, recorded.disabled) == (DISABLED, "it answered 410 Gone")
    found = endpoint(store)
    assert (found.state, found.disabled_reason, found.disabled_at is not None) == (
        DISABLED, "it answered 410 Gone", True,
    )  # fmt: skip
    assert [(one.state, one.error) for one in deliveries_of(store, "ep_1")] == [
        *[(DEAD, "the endpoint is gone (410)")] * 2,
        *[(DEAD, "the endpoint was disabled: it answered 410 Gone")] * 2,
    ]
    assert types(store).count("endpoint.disabled") == 1
    told = bodies(store)[-1]["data"]
    assert told == {"endpointId": "ep_1", "url": "https://example.com/", "reason": "it answered 410 Gone"}
    assert states(store, "ep_2") == [PENDING], "and not itself"


def test_late_answers_of_an_endpoint_that_is_disabled_are_kept_and_change_nothing_of_it(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 3)
    fence = take(store)
    gone, fine, broken = due(store)
    record(store, fence, sent(gone, GONE))
    before = endpoint(store)
    recorded = record(store, fence, sent(fine, OK), sent(broken, BROKEN))
    assert (recorded.ours, recorded.state, recorded.disabled) == (True, DISABLED, None)
    assert states(store) == [DEAD, DELIVERED, DEAD]
    assert len(attempts_of(store)) == 3
    assert endpoint(store) == before
    assert types(store).count("endpoint.recovered") == 0


def test_a_success_beside_gone_is_no_recovery(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 3)
    assert answer(store, GONE, OK).state == DISABLED
    assert (states(store), types(store)[3:]) == ([DEAD, DELIVERED, DEAD], ["endpoint.disabled"])
    assert endpoint(store).disabled_at


def fail_for(store: Database, time: timedelta) -> Recorded:
    """It answers 500 now, and has failed for so long."""
    with store.read() as session:
        set_endpoint(store, failures=1, failing_since=database_now(session) - time)
    tell_some(store, 1)
    return answer(store, BROKEN)


def test_five_days_of_failures_disable(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    assert fail_for(store, PATIENCE - MINUTE).disabled is None
    disabled = fail_for(store, PATIENCE + MINUTE)
    assert (disabled.state, disabled.disabled) == (
        DISABLED, "it has failed for 5 days; the last: it answered 500",
    )  # fmt: skip
    assert set(states(store)) == {DEAD}
    assert types(store).count("endpoint.disabled") == 1
    assert "failingSince" in bodies(store)[-1]["data"]


def test_patience_that_wears_out_is_warned_of_once_at_each_mark(store: Database) -> None:
    make_endpoint(store)
    warned = [fail_for(store, PATIENCE * used // 100).warning for used in (0, 49, 50, 60, 71, 95, 96)]
    assert warned == [None, None, 50, None, 70, 90, None]


def test_a_recovery_is_told_once_with_the_first_success_after_it_was_resumed(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    answer(store, GONE)
    with store.write() as session:
        endpoints.resume(session, "ep_1")
    tell_some(store, 3)
    answer(store, BROKEN)
    assert "endpoint.recovered" not in types(store)
    answer(store, OK, OK)
    answer(store, OK)
    assert types(store).count("endpoint.recovered") == 1
    told = bodies(store)[-1]["data"]
    assert (told["endpointId"], endpoint(store).disabled_at) == ("ep_1", None)


def test_each_time_that_it_is_disabled_is_told(store: Database) -> None:
    make_endpoint(store)
    for _ in range(2):
        tell_some(store, 1)
        answer(store, GONE)
        with store.write() as session:
            endpoints.resume(session, "ep_1")
    assert types(store).count("endpoint.disabled") == 2


# Beside other transactions


def remove(store: Database) -> None:
    with store.write() as session:
        endpoints.remove(session, "ep_1")


def test_what_is_under_way_when_its_endpoint_is_removed_counts_if_it_arrives_and_is_not_tried_again_if_not(
    store: Database,
) -> None:
    make_endpoint(store)
    tell_some(store, 2)
    fence = take(store)
    fine, broken = due(store)
    remove(store)
    recorded = record(store, fence, sent(fine, OK), sent(broken, BROKEN))
    assert (recorded.ours, recorded.state) == (True, DELETED)
    assert states(store) == [DELIVERED, DEAD]
    assert endpoint(store).failures == 0


def test_what_is_under_way_when_its_endpoint_is_paused_is_recorded_as_ever(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 2)
    fence = take(store)
    fine, broken = due(store)
    with store.write() as session:
        endpoints.pause(session, "ep_1")
    recorded = record(store, fence, sent(fine, OK), sent(broken, BROKEN))
    assert recorded.state == "paused"
    assert states(store) == [DELIVERED, PENDING]


def test_a_record_whose_commit_was_done_and_whose_answer_was_lost_is_written_once(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 2)
    fence = take(store)
    group: Sequence[Sent] = [sent(one, BROKEN) for one in due(store)]
    assert record(store, fence, *group) == record(store, fence, *group)
    assert len(attempts_of(store)) == 2
    assert endpoint(store).failures == 2
    assert [one.attempts for one in deliveries_of(store)] == [1, 1]


def test_what_is_sent_again_by_hand_is_not_lost_to_a_late_writer(store: Database) -> None:
    make_endpoint(store)
    (one,) = tell_some(store, 1)
    fence = take(store)
    group = [sent(found, BROKEN) for found in due(store)]
    answer(store, OK)
    with store.write() as session:
        assert redriving.redrive(session, [one]) == 1
    assert not record(store, fence, *group).ours
    (found,) = deliveries_of(store)
    assert (found.state, found.attempts) == (PENDING, 0)
