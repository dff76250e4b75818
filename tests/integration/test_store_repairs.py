"""A write that arrives after its lease was lost is repaired: the newest wish is asserted again, once."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from schemas.jobs import JobState
from tests.integration.store_rig import (
    AT_WORK,
    anew,
    applied,
    assert_adds_up,
    batch,
    fates_of,
    given_back,
    job,
    job_of,
    known,
    let_time_pass,
    lose_lease,
    remote_target,
    settle,
    states,
    take,
    take_one,
    tried,
    wish,
    write,
)
from worker.core.acceptance import Fate
from worker.core.decisions import Decision, Fail, GiveBack, Retry, Succeed
from worker.store.claims import Claimed, rescue
from worker.store.engine import Database
from worker.store.models import Resource
from worker.store.records import Record, Tried
from worker.store.repairs import repair

IN_DOUBT = Retry(timedelta(minutes=5), failure=True, read_first=True)
READ = Tried("get_target", AT_WORK.started_at, 1.0, 200, "answered", None, "r-0")


def overtaken(store: Database, value: float = 10) -> Claimed:
    """A job whose worker hangs past its lease and is rescued."""
    late = take_one(store, job_of(store, wish(1, value)), owner="hanging")
    lose_lease(store, late.id)
    with store.write() as session:
        rescue(session)
    let_time_pass(store)
    return late


def wake_up(store: Database, late: Claimed, decision: Decision | None = None, call: Tried = AT_WORK) -> list[int]:
    """The worker that hung writes what it did, as the recorder has it."""
    record = Record(late, decision or applied(late).decision, (anew(call),))
    assert write(store, record) == [record]
    with store.write() as session:
        return repair(session, [record])


def test_a_late_write_after_the_newest_wish_was_done_is_repaired_by_reading_first(store: Database) -> None:
    late = overtaken(store)
    newer = job_of(store, wish(1, 20))
    write(store, applied(take_one(store, newer)))
    (made,) = wake_up(store, late)
    row = job(store, made)
    assert (row.state, row.read_first, row.forced, row.repairs) == (JobState.PENDING, True, True, late.id)
    assert (row.wish, row.version) == (job(store, newer).wish, job(store, newer).version)
    assert batch(store, row.batch_id).source == "repair"
    target = known(store, 1)
    assert target
    assert target.uncertain
    asserting = take_one(store, made)
    assert (asserting.ours, asserting.known and asserting.known.target) == ((10,), 20)
    write(store, applied(asserting))
    assert_adds_up(store)


def test_the_same_late_write_is_repaired_once(store: Database) -> None:
    late = overtaken(store)
    settle(store, wish(1, 20))
    (made,) = wake_up(store, late)
    assert wake_up(store, late) == []
    write(store, applied(take_one(store, made)))
    assert wake_up(store, late) == []


def test_while_the_newest_wish_runs_the_repair_waits_behind_it(store: Database) -> None:
    late = overtaken(store)
    running = take_one(store, job_of(store, wish(1, 20)))
    (made,) = wake_up(store, late)
    assert take(store, made) == []
    write(store, applied(running))
    assert take_one(store, made).id == made


def test_a_second_late_writer_is_repaired_as_well_though_the_first_repair_is_now_the_newest(store: Database) -> None:
    first = overtaken(store, 10)
    second = overtaken(store, 20)
    settle(store, wish(1, 30))
    (made,) = wake_up(store, first)
    write(store, applied(take_one(store, made)))
    (again,) = wake_up(store, second)
    assert job(store, again).wish == job(store, made).wish
    assert take_one(store, again).ours == (20,)


def test_a_repair_behind_a_wish_that_was_never_sent_knows_what_was_there_before_it(store: Database) -> None:
    settle(store, wish(1, 5))
    late = overtaken(store, 10)
    running = take_one(store, job_of(store, wish(1, 20)))
    write(store, tried(running, Retry(timedelta(0), failure=True)))
    running = take_one(store, running.id)
    (made,) = wake_up(store, late)
    write(store, given_back(running))
    assert states(store, [running.id]) == [JobState.SUPERSEDED]
    asserting = take_one(store, made)
    assert (asserting.baseline, asserting.first_sent_at, asserting.ours) == (5, running.first_sent_at, (10,))


def test_a_pending_wish_that_reads_first_knows_the_late_write_for_ours(store: Database) -> None:
    late = overtaken(store, 10)
    write(store, applied(take_one(store, late.id)))
    pending = take_one(store, job_of(store, wish(1, 20)))
    write(store, tried(pending, Retry(timedelta(0), failure=True, read_first=True)))
    assert wake_up(store, late) == []
    assert take_one(store, pending.id).ours == (10,)


def test_a_repair_that_took_the_place_of_the_newest_wish_is_the_newest_to_the_next_late_writer(store: Database) -> None:
    first, second = overtaken(store, 10), overtaken(store, 20)
    running = take_one(store, job_of(store, wish(1, 30)))
    (made,) = wake_up(store, first)
    write(store, given_back(running))
    write(store, applied(take_one(store, made)))
    (again,) = wake_up(store, second)
    assert job(store, again).wish == job(store, running.id).wish
    assert_adds_up(store)


def test_a_wish_found_unchanged_just_before_the_late_write_was_known_is_asserted(store: Database) -> None:
    late = overtaken(store)
    settle(store, wish(1, 20))
    (unchanged,) = fates_of(store, wish(1, 20))
    assert unchanged.fate is Fate.UNCHANGED
    assert len(wake_up(store, late)) == 1
    assert fates_of(store, wish(1, 20))[0].fate is Fate.QUEUED


def nobody_came(_: Database) -> None: ...


def a_newer_one_is_pending(store: Database) -> None:
    job_of(store, wish(1, 20))


def the_newest_wish_failed(store: Database) -> None:
    write(store, tried(take_one(store, job_of(store, wish(1, 20))), Fail("INVALID", "no")))


def the_newest_wish_is_the_same(store: Database) -> None:
    settle(store, wish(1, 10))


def the_newest_was_pruned(store: Database) -> None:
    settle(store, wish(1, 20))
    with store.write() as session:
        session.get_one(Resource, wish(1).name).newest_job_id = 999


@pytest.mark.parametrize(
    "meanwhile",
    [nobody_came, a_newer_one_is_pending, the_newest_wish_failed, the_newest_wish_is_the_same, the_newest_was_pruned],
)
def test_nothing_is_repaired_where_nothing_newer_could_have_been_overwritten(
    store: Database, meanwhile: Callable[[Database], None]
) -> None:
    late = overtaken(store)
    meanwhile(store)
    assert wake_up(store, late) == []
    assert_adds_up(store)


def test_a_newest_wish_that_took_the_late_write_for_a_persons_change_is_asserted_again(store: Database) -> None:
    late = overtaken(store)
    blamed = Fail("changed_elsewhere", "somebody set 10", remote_target(wish(1, 10)))
    write(store, tried(take_one(store, job_of(store, wish(1, 20))), blamed))
    assert len(wake_up(store, late)) == 1


@pytest.mark.parametrize(("decision", "call"), [(GiveBack(), READ), (Succeed("already_there", None), READ)])  # type: ignore[arg-type]  # not looked at
def test_a_late_reader_has_nothing_to_repair(store: Database, decision: Decision, call: Tried) -> None:
    late = overtaken(store)
    settle(store, wish(1, 20))
    assert wake_up(store, late, decision, call) == []


def test_a_late_write_without_an_answer_may_still_arrive_so_its_repair_or_the_newer_wish_waits(store: Database) -> None:
    late = overtaken(store)
    settle(store, wish(1, 20))
    (made,) = wake_up(store, late, IN_DOUBT)
    assert take(store, made) == []
    let_time_pass(store)
    write(store, applied(take_one(store, made)))
    other = overtaken(store, 30)
    pending = job_of(store, wish(1, 40))
    assert wake_up(store, other, IN_DOUBT) == []
    assert take(store, pending) == []
    let_time_pass(store)
    assert states(store, [take_one(store, pending).id]) == [JobState.RUNNING]
