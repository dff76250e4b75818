"""The reconciler: what was lost is sent again, what others changed is seen to as is asked, nothing is outrun."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from api_adapter.outcomes import Operation
from schemas.jobs import JobState
from schemas.policy import DriftMode, Policy
from tests.integration.executor_rig import TARGETS, Rig, rigged, wish
from tests.integration.oversight_rig import PROFILE, Centre, Overseen, event, plan_of, target_rule
from tests.integration.planner_rig import name_of, remote_has, values, work
from tests.integration.store_rig import job
from worker.configuration.oversight import ReconcileOptions
from worker.configuration.values import MAX_TIMEOUT
from worker.exchanges import NoPermit
from worker.loops.reconciler import AT_ONCE
from worker.store import quarantine
from worker.store.cadences import listing_of, make_known
from worker.store.engine import Database, database_now
from worker.store.oversight_models import Drift, Reconciliation
from worker.store.pauses import pause
from worker.store.reconciling import IN_AT_ONCE
from worker.store.tables import attempts, cadences, drifts, jobs, reconciliations, targets
from worker.telemetry.health import WITHIN

ENFORCE = ReconcileOptions(target=DriftMode.ENFORCE)
ADOPT = ReconcileOptions(target=DriftMode.ADOPT)
WRITES = (Operation.UPDATE_TARGET, Operation.CREATE_TARGET, Operation.DELETE_TARGET)


def overseen(store: Database, rig: Rig, options: ReconcileOptions | None = None, **of_centre: Any) -> Overseen:
    return Overseen(Centre(store, **of_centre), rig, options or ReconcileOptions())


def found_drifts(store: Database, *, still_open: bool = True) -> list[Drift]:
    with store.read() as session:
        query = select(Drift).order_by(drifts.c.id)
        return list(session.execute(query.where(drifts.c.closed_at.is_(None)) if still_open else query).scalars())


def passes(store: Database) -> list[Reconciliation]:
    with store.read() as session:
        return list(session.execute(select(Reconciliation).order_by(reconciliations.c.id)).scalars())


def writes(rig: Rig) -> int:
    return sum(operation in WRITES for operation in rig.asked())


def set_by_hand(rig: Rig, number: int, value: float, **more: Any) -> None:
    there = rig.there(number)
    rig.sandbox.state.put(replace(there, target=value, **more))


async def applied(rig: Rig, number: int, value: float) -> int:
    (done,) = rig.accept(wish(number, value))
    await rig.run(done)
    return done


def test_where_nothing_differs_nothing_is_sent_and_nothing_is_said(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            sent = writes(rig)
            await it.pass_over()
            assert (found_drifts(store), writes(rig)) == ([], sent)
            (run,) = passes(store)
            assert run.finished_at
            assert (run.reads, run.compared, run.found) == ("list", len(TARGETS), 0)

    asyncio.run(scene())


def test_a_pass_makes_every_target_of_the_remote_known(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            await overseen(store, rig).pass_over()
            with store.read() as session:
                assert session.execute(select(func.count()).select_from(targets)).scalar_one() == len(TARGETS)

    asyncio.run(scene())


def test_what_somebody_has_changed_is_observed_and_left_alone(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            set_by_hand(rig, 1, 50.0)
            await it.pass_over()
            (drift,) = found_drifts(store)
            assert (drift.resource, drift.field, drift.wanted, drift.found) == (TARGETS[1].name, "target", "81.5", "50")
            assert (drift.kind, drift.action) == ("changed", "observed")
            await it.pass_over()
            assert len(found_drifts(store, still_open=False)) == 1
            await it.settle()
            assert rig.value(1) == 50.0
            set_by_hand(rig, 1, 81.5)
            await it.pass_over()
            assert found_drifts(store) == []

    asyncio.run(scene())


def test_what_somebody_has_changed_is_enforced_where_that_is_asked(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            set_by_hand(rig, 1, 50.0)
            await it.pass_over()
            (drift,) = found_drifts(store)
            assert drift.action == "resent"
            assert drift.job_id
            await it.settle()
            assert rig.value(1) == 81.5
            await it.pass_over()
            assert found_drifts(store) == []
            assert passes(store)[-1].found == 0

    asyncio.run(scene())


def test_what_somebody_has_changed_is_adopted_where_that_is_asked(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ADOPT)
            await applied(rig, 1, 81.5)
            set_by_hand(rig, 1, 50.0)
            sent = writes(rig)
            await it.pass_over()
            (drift,) = found_drifts(store, still_open=False)
            assert (drift.action, drift.closed_at is not None) == ("adopted", True)
            assert drift.job_id
            assert (job(store, drift.job_id).state, job(store, drift.job_id).result) == ("succeeded", "adopted")
            await it.settle()
            assert (rig.value(1), writes(rig)) == (50.0, sent)
            await overseen(store, rig, ENFORCE).pass_over()
            assert len(found_drifts(store, still_open=False)) == 1

    asyncio.run(scene())


def test_a_value_that_no_wish_can_have_is_not_adopted(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ADOPT)
            await applied(rig, 1, 81.5)
            set_by_hand(rig, 1, 150.0)
            await it.pass_over()
            (drift,) = found_drifts(store, still_open=False)
            assert (drift.found, drift.job_id) == ("150", None)

    asyncio.run(scene())


def test_what_the_remote_has_lost_is_sent_again_whatever_the_mode(store: Database) -> None:
    """By its own account nobody has written after us, and yet our value is gone: a backup was put back."""

    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            before = rig.there(1)
            await applied(rig, 1, 81.5)
            rig.sandbox.state.put(before)
            await it.pass_over()
            (drift,) = found_drifts(store)
            assert (drift.kind, drift.action) == ("lost", "resent")
            await it.settle()
            assert rig.value(1) == 81.5

    asyncio.run(scene())


@pytest.mark.parametrize(("mode", "ends"), [("enforce", 75.0), ("observe", 50.0), ("adopt", 50.0)])
def test_a_rule_of_the_policy_has_the_last_word_on_its_targets(store: Database, mode: str, ends: float) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            rules = Policy(targets=(target_rule(drift=mode),))
            other = ReconcileOptions(target=DriftMode.OBSERVE if mode == "enforce" else DriftMode.ENFORCE)
            it = overseen(store, rig, other, policy=rules)
            it.centre.tell(event("joined", "ann"))
            await it.settle()
            it.set_by_hand("ann", 50.0)
            await it.pass_over()
            await it.settle()
            assert it.value_of("ann") == [ends]

    asyncio.run(scene())


def test_a_target_that_is_gone_is_made_again_where_the_rule_makes_and_enforces_it(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, policy=Policy(targets=(target_rule(drift="enforce"),)))
            it.centre.tell(event("joined", "ann"))
            await it.settle()
            (name,) = [
                one.name for one in rig.sandbox.state.targets.values() if one.coaching_plan_name == plan_of("ann")
            ]
            rig.sandbox.state.delete(name)
            await it.pass_over()
            assert [drift.kind for drift in found_drifts(store)] == ["missing"]
            await it.settle()
            assert it.value_of("ann") == [75.0]

    asyncio.run(scene())


def test_a_target_that_is_gone_and_that_nobody_makes_again_is_told_of(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            rig.sandbox.state.delete(TARGETS[1].name)
            await it.pass_over()
            (drift,) = found_drifts(store)
            assert (drift.kind, drift.action, drift.resource) == ("missing", "observed", TARGETS[1].name)

    asyncio.run(scene())


def test_all_that_is_gone_is_told_of_and_made_again_however_much_it_is(store: Database) -> None:
    """A whole team was deleted in the product: more than is looked at in one portion."""
    team = [f"a{number:04}" for number in range(IN_AT_ONCE + 7)]

    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE, policy=Policy(targets=(target_rule(),)))
            it.centre.tell(*(event("joined", agent) for agent in team))
            remote_has(store, *team)
            it.centre.plan()
            work(store)
            await it.pass_over()
            gone = [drift for drift in found_drifts(store) if drift.kind == "missing"]
            assert {drift.resource for drift in gone} == {name_of(agent) for agent in team}
            assert {drift.action for drift in gone} == {"resent"}
            assert passes(store)[-1].found == len(team)
            assert not any(want.asked for want in it.centre.wants().values())
            assert values(store, map(name_of, team)) == {}

    asyncio.run(scene())


def test_a_target_that_is_for_something_else_now_is_never_written_to(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            set_by_hand(rig, 1, 50.0, coaching_plan_name=plan_of("somebody-else"))
            await it.pass_over()
            assert [(one.kind, one.field, one.action) for one in found_drifts(store)] == [
                ("identity", "coachingPlanName", "observed")
            ]
            await it.settle()
            assert rig.value(1) == 50.0

    asyncio.run(scene())


def test_a_job_under_way_is_left_to_end(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            set_by_hand(rig, 1, 50.0)
            rig.accept(wish(1, 90.0))
            await it.pass_over()
            assert found_drifts(store) == []

    asyncio.run(scene())


def test_what_is_enforced_outruns_no_wish_that_comes_late(store: Database) -> None:
    """It is the same wish in the same place of the order: a later one beats it, an older one does not."""

    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            (first,) = rig.accept(wish(1, 81.5, as_of="2026-01-01T10:00:00Z"))
            await rig.run(first)
            set_by_hand(rig, 1, 50.0)
            await it.pass_over()
            older, newer = rig.accept(
                wish(1, 20.0, as_of="2026-01-01T09:00:00Z"), wish(1, 30.0, as_of="2026-01-01T11:00:00Z")
            )
            assert job(store, older).state == JobState.SUPERSEDED
            await it.settle()
            assert job(store, newer).state == JobState.SUCCEEDED
            assert rig.value(1) == 30.0

    asyncio.run(scene())


def test_a_pass_goes_on_where_its_process_died(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            it.centre.look_now()
            reconciler = it.reconciler()
            rig.script({"kind": "empty_page"}, path="/v1/*/targets")
            with store.write() as session:
                cadences_made(session)
            assert await asyncio.to_thread(reconciler.step, PROFILE)
            (run,) = passes(store)
            assert (run.finished_at, run.page_token != "") == (None, True)
            with store.write() as session:  # it took its turn, and died before it had read anything
                taken = reconciler._take(session, PROFILE)
            assert taken is None or taken.run.id == run.id
            await it.pass_over()
            (run,) = passes(store)
            assert run.finished_at

    asyncio.run(scene())


def cadences_made(session: Any) -> None:
    make_known(session, [listing_of(PROFILE)])


def test_a_page_that_comes_late_changes_nothing(store: Database) -> None:
    """Its process was stopped past its turn, and another one has gone on meanwhile."""

    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            await it.pass_over()
            set_by_hand(rig, 1, 50.0)
            it.centre.look_now()
            slow = it.reconciler()
            with store.write() as session:
                step = slow._take(session, PROFILE)
            assert step
            read = await asyncio.to_thread(slow.read, "default", slow._call(step))
            await it.pass_over()
            sent = len(found_drifts(store, still_open=False))
            with store.write() as session:
                slow._go_on(session, step, read.outcome)
            assert len(found_drifts(store, still_open=False)) == sent
            assert len(it.centre.open_jobs()) == 1

    asyncio.run(scene())


def test_an_answer_that_comes_late_forgets_no_target_that_is_there_again(store: Database) -> None:
    """It was gone when it was asked for; before that was written, somebody else has seen it."""

    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            rig.always({"kind": "status", "status": 501}, path="/v1/*/targets")
            it.centre.look_now()
            await it.look()
            there = rig.there(1)
            rig.sandbox.state.delete(there.name)
            it.centre.look_now()
            slow = it.reconciler()
            with store.write() as session:
                step = slow._take(session, PROFILE)
            assert step
            assert step.name == there.name
            read = await asyncio.to_thread(slow.read, "default", slow._call(step))
            rig.sandbox.state.put(there)
            await it.pass_over()
            with store.write() as session:
                slow._go_on(session, step, read.outcome)
            assert found_drifts(store, still_open=False) == []

    asyncio.run(scene())


def test_a_page_token_that_has_expired_begins_the_pass_anew(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            rig.script({"kind": "empty_page"}, {"kind": "status", "status": 400}, path="/v1/*/targets")
            await it.pass_over()
            (run,) = passes(store)
            assert run.finished_at
            assert (run.error, run.compared) == (None, len(TARGETS))

    asyncio.run(scene())


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_remote_that_lists_nothing_is_read_one_by_one(store: Database, status: int) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            await applied(rig, 2, 82.5)
            set_by_hand(rig, 2, 50.0)
            rig.always({"kind": "status", "status": status}, path="/v1/*/targets")
            await it.pass_over()
            (run,) = passes(store)
            assert (run.reads, run.compared, run.resent) == ("get", 2, 1)
            await it.settle()
            assert rig.value(2) == 82.5

    asyncio.run(scene())


def test_a_target_read_by_itself_that_is_gone_is_told_of(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig, ENFORCE)
            await applied(rig, 1, 81.5)
            rig.sandbox.state.delete(TARGETS[1].name)
            rig.always({"kind": "status", "status": 501}, path="/v1/*/targets")
            await it.pass_over()
            assert [drift.kind for drift in found_drifts(store)] == ["missing"]

    asyncio.run(scene())


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "cut_before"}, {"kind": "garbage"}])
def test_trouble_postpones_a_pass_and_loses_nothing_of_it(store: Database, fault: dict[str, Any]) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            rig.script(fault, path="/v1/*/targets")
            await it.pass_over()
            (run,) = passes(store)
            assert (run.finished_at, run.requests) == (None, 1)
            assert run.error
            await it.pass_over()
            (run,) = passes(store)
            assert (run.error, run.compared, run.requests) == (None, len(TARGETS), 2)

    asyncio.run(scene())


@pytest.mark.parametrize("why", ["quarantine", "pause"])
def test_a_remote_that_is_put_aside_is_not_asked(store: Database, why: str) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            asked = len(rig.asked())
            with store.write() as session:
                if why == "quarantine":
                    quarantine.put_aside(session, "default", "a test")
                else:
                    pause(session, "default", None, timedelta(hours=1))
            await it.pass_over()
            assert len(rig.asked()) == asked

    asyncio.run(scene())


def test_a_wait_for_a_permit_that_somebody_ends_is_noticed_soon(store: Database) -> None:
    """A remote had asked for a day: its listing waited for all of it, though a person had released the remote."""

    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            held = replace(it.reconciler(), read=lambda *_: NoPermit(timedelta(days=1)))
            assert held.run_once() == 0
            with store.read() as session:
                due_at = session.execute(select(cadences.c.due_at)).scalar_one()
                assert due_at - database_now(session) < timedelta(minutes=1)

    asyncio.run(scene())


def test_pages_keep_apart_by_the_share_of_the_limit(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            rig.script({"kind": "empty_page"}, path="/v1/*/targets")
            reconciler = it.reconciler(gap=timedelta(minutes=5))
            assert await asyncio.to_thread(reconciler.run_once) == 1
            assert await asyncio.to_thread(reconciler.run_once) == 0
            with store.read() as session:
                due = session.execute(
                    select(cadences.c.due_at).where(cadences.c.name == listing_of(PROFILE))
                ).scalar_one()
                last = session.execute(select(jobs.c.finished_at)).scalar_one()
            assert due - last > timedelta(minutes=4)

    asyncio.run(scene())


def test_the_pace_slackens_while_nothing_differs_and_is_back_when_something_does(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            paces = []
            for value in (None, None, 50.0, None):
                if value:
                    set_by_hand(rig, 1, value)
                await it.pass_over()
                with store.read() as session:
                    query = select(cadences.c.pause).where(cadences.c.name == listing_of(PROFILE))
                    paces.append(session.execute(query).scalar_one())
            assert paces == [3600, 7200, 3600, 7200]

    asyncio.run(scene())


def test_every_read_is_an_attempt_that_the_limiter_can_remember(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            await it.pass_over()
            with store.read() as session:
                told = session.execute(select(attempts.c.operation).order_by(attempts.c.id)).scalars().all()
            assert told == ["update_target", "list_targets"]

    asyncio.run(scene())


def test_what_is_uncertain_after_a_doubtful_attempt_is_known_again(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            await applied(rig, 1, 81.5)
            with store.write() as session:
                session.execute(update(targets).values(uncertain=True))
            await it.pass_over()
            with store.read() as session:
                assert not session.execute(
                    select(targets.c.uncertain).where(targets.c.name == TARGETS[1].name)
                ).scalar_one()

    asyncio.run(scene())


def test_a_round_stays_short_where_each_of_many_profiles_waits_for_a_remote_that_hangs(store: Database) -> None:
    """Of fifty that were due each took a whole request's time: the loops seemed dead, and were restarted for it."""

    async def scene() -> None:
        async with rigged(store) as rig:
            it = overseen(store, rig)
            many = [f"customers/acme/profiles/p{number}" for number in range(2 * AT_ONCE)]
            it.centre.tell(
                *(
                    event("joined", "ann", profile=one, usecases=[], coachingPlanName=f"{one}/coachingPlans/ann")
                    for one in many
                )
            )
            asked: list[str] = []
            hung = replace(it.reconciler(), read=lambda remote, _: asked.append(remote) or NoPermit(timedelta(0)))
            hung.run_once()
            assert len(asked) == AT_ONCE
            assert AT_ONCE * MAX_TIMEOUT.total_seconds() < WITHIN

    asyncio.run(scene())
