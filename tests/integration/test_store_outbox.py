"""What there is to tell is written with what it tells of, once, for those who ask for it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import update
from sqlmodel import Session

from schemas.coaching import Quota, Target
from schemas.instants import parse_instant
from schemas.jobs import QuotaRecalculation, TargetCreation
from schemas.lanes import Lane
from tests.integration import store_rig
from tests.integration.store_rig import (
    AT_WORK,
    PLAN,
    TEMPLATE,
    USECASE,
    WORKER,
    anew,
    applied,
    job_of,
    name_of,
    quota_wish,
    take,
    take_one,
    tried,
    wish,
    write,
)
from tests.integration.webhook_rig import (
    LONG_AGO,
    bodies,
    deliveries_of,
    happening,
    make_endpoint,
    messages,
    set_endpoint,
    states,
    tell,
    types,
)
from worker.core.decisions import Fail, GiveBack, Retry, Succeed
from worker.core.drift import Action, Finding, Kind
from worker.core.endpoint_filter import EndpointFilter
from worker.core.events import Event
from worker.store import approvals, drifts, endpoints, outbox, quarantine, steering
from worker.store.approvals import Asked
from worker.store.batches import NewBatch, open_batch, seal, seal_abandoned, unseal_abandoned
from worker.store.claims import Claimed, rescue
from worker.store.engine import Database
from worker.store.records import Record, record
from worker.store.tables import batches

REFUSED = Fail("INVALID_ARGUMENT", "the remote said no")
CREATION = TargetCreation(
    scorecard_template_name=TEMPLATE,
    usecase_name=USECASE,
    target=70,
    criterion_or_chapter_id="c",
    coaching_plan_name=PLAN,
)
FINDING = Finding("target", Kind.CHANGED, "50", "60", Action.RESENT)

Step = Callable[[Session], object]


def ending(store: Database, *records: Record) -> Step:
    del store
    return lambda session: record(session, records, WORKER)


def answered(job: Claimed, total: int) -> Record:
    asked = QuotaRecalculation.model_validate_json(job.wish)
    quota = Quota(total_agent_quota=total, total_active_agents_count=5)
    return Record(job, Succeed("recalculated", quota), (anew(AT_WORK),), asked)


def succeeded(store: Database) -> Step:
    return ending(store, applied(take_one(store, job_of(store, wish(1)))))


def failed(store: Database) -> Step:
    return ending(store, tried(take_one(store, job_of(store, wish(1))), REFUSED))


def created(store: Database) -> Step:
    target = Target(
        name=name_of("new"),
        scorecard_template_name=TEMPLATE,
        criterion_or_chapter_id="c",
        target=70,
        usecase_name=USECASE,
        coaching_plan_name=PLAN,
    )
    return ending(store, tried(take_one(store, job_of(store, CREATION)), Succeed("created", target)))


def known(store: Database) -> Step:
    """A creation for which nothing is sent: the target is there, and known."""
    write(store, applied(take_one(store, job_of(store, wish(1, 70)))))
    (job,) = take(store, job_of(store, CREATION))
    assert job.twin
    return ending(store, Record(job, Succeed("known", None)))


def quota_recalculated(store: Database) -> Step:
    return ending(store, answered(take_one(store, job_of(store, quota_wish())), 40))


def quota_changed(store: Database) -> Step:
    write(store, answered(take_one(store, job_of(store, quota_wish())), 40))
    return ending(store, answered(take_one(store, job_of(store, quota_wish())), 45))


def quota_failed(store: Database) -> Step:
    return ending(store, tried(take_one(store, job_of(store, quota_wish())), REFUSED))


def poisoned(store: Database) -> Step:
    job = job_of(store, wish(1))
    take_one(store, job)
    store_rig.change(store, [job], crashes=4)
    store_rig.lose_lease(store, job)
    return rescue


def silent_batch(store: Database) -> int:
    """Open and empty; its producer was last heard of long ago."""
    with store.write() as session:
        batch = open_batch(session, NewBatch("test", Lane.BULK)).id
        session.execute(update(batches).where(batches.c.id == batch).values(touched_at=LONG_AGO))
    return batch


def abandoned(store: Database) -> Step:
    silent_batch(store)
    return seal_abandoned


def quarantined(store: Database) -> Step:
    del store
    return lambda session: quarantine.put_aside(session, "default", "down")


def recovered(store: Database) -> Step:
    with store.write() as session:
        quarantine.put_aside(session, "default", "down")
    return lambda session: quarantine.release(session, "default")


def drifted(store: Database) -> Step:
    del store
    return lambda session: drifts.note_drifts(session, 1, {name_of(1): [FINDING]}, {})


def guarded(store: Database) -> Step:
    del store
    asked = Asked("roster", "digest", "a file", "it removes half of the roster")
    return lambda session: approvals.request(session, asked, timedelta(days=7))


HAPPENINGS: dict[Callable[[Database], Step], list[str]] = {
    succeeded: ["target.updated", "batch.completed"],
    failed: ["target.failed", "batch.completed"],
    created: ["target.updated", "batch.completed"],
    known: ["target.updated", "batch.completed"],
    quota_recalculated: ["quota.recalculated", "batch.completed"],
    quota_changed: ["quota.recalculated", "quota.changed", "batch.completed"],
    quota_failed: ["quota.failed", "batch.completed"],
    poisoned: ["target.failed", "batch.completed"],
    abandoned: ["batch.completed"],
    quarantined: ["remote.quarantined"],
    recovered: ["remote.recovered"],
    drifted: ["target.drifted"],
    guarded: ["roster.guard_tripped"],
}


class Undone(Exception):  # noqa: N818 - the house names what happened
    pass


def undo(store: Database, step: Step) -> None:
    with store.write() as session:
        step(session)
        raise Undone


@pytest.mark.parametrize("prepare", HAPPENINGS, ids=lambda prepare: prepare.__name__)
def test_it_is_written_with_its_happening_and_undone_with_it(
    store: Database, prepare: Callable[[Database], Step]
) -> None:
    step = prepare(store)
    make_endpoint(store)
    with pytest.raises(Undone):
        undo(store, step)
    assert (messages(store), deliveries_of(store)) == ([], [])
    with store.write() as session:
        step(session)
        assert types(store) == [], "nobody else sees it before the commit"
    assert types(store) == HAPPENINGS[prepare]
    assert states(store) == ["pending"] * len(HAPPENINGS[prepare])


def told_data(store: Database, prepare: Callable[[Database], Step], kind: str) -> dict[str, object]:
    step = prepare(store)
    make_endpoint(store)
    with store.write() as session:
        step(session)
    (data,) = [body["data"] for body in bodies(store) if body["type"] == kind]
    assert isinstance(data, dict)
    return data


TARGET = {
    "scorecardTemplateName": TEMPLATE,
    "usecaseName": USECASE,
    "criterionOrChapterId": "c",
    "coachingPlanName": PLAN,
}


@pytest.mark.parametrize(
    ("prepare", "kind", "expected"),
    [
        (
            succeeded,
            "target.updated",
            TARGET | {"name": name_of(1), "target": 50.0, "result": "applied", "jobId": "1-1", "batchId": 1},
        ),
        (
            created,
            "target.updated",
            TARGET | {"name": name_of("new"), "target": 70.0, "result": "created", "jobId": "1-1", "batchId": 1},
        ),
        (
            known,
            "target.updated",
            TARGET | {"name": name_of(1), "target": 70.0, "result": "known", "jobId": "2-1", "batchId": 2},
        ),
        (
            failed,
            "target.failed",
            TARGET
            | {
                "name": name_of(1),
                "target": 50.0,
                "code": "INVALID_ARGUMENT",
                "message": "the remote said no",
                "jobId": "1-1",
                "batchId": 1,
            },
        ),
        (
            quota_changed,
            "quota.changed",
            {
                "scorecardTemplateName": f"{TEMPLATE}@1",
                "totalAgentQuota": 45,
                "previousTotalAgentQuota": 40,
                "totalActiveAgentsCount": 5,
                "jobId": "2-1",
                "batchId": 2,
            },
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_told_says_what_became_of_which_job(
    store: Database, prepare: Callable[[Database], Step], kind: str, expected: dict[str, object]
) -> None:
    assert told_data(store, prepare, kind) == expected


def test_poison_is_told_as_a_failure_with_its_reason(store: Database) -> None:
    data = told_data(store, poisoned, "target.failed")
    assert (data["code"], data["message"]) == ("poison", "5 workers died or hung while they had this job")


def test_a_batch_is_told_with_counters_that_add_up(store: Database) -> None:
    make_endpoint(store)
    fine, wrong = store_rig.job_ids(store, wish(1), wish(2), None)
    write(store, applied(take_one(store, fine)), tried(take_one(store, wrong), REFUSED))
    data = bodies(store)[-1]["data"]
    counted = ("rows", "accepted", "rejected", "succeeded", "failed", "superseded", "cancelled", "abandoned")
    assert [data[name] for name in counted] == [3, 2, 1, 1, 1, 0, 0, False]


def test_what_is_not_final_is_not_told(store: Database) -> None:
    make_endpoint(store)
    again, back = store_rig.job_ids(store, wish(1), wish(2))
    write(
        store,
        tried(take_one(store, again), Retry(timedelta(0), failure=True)),
        Record(take_one(store, back), GiveBack()),
    )
    assert messages(store) == []


def test_a_late_record_tells_nothing(store: Database) -> None:
    make_endpoint(store)
    job = job_of(store, wish(1))
    late = take_one(store, job)
    store_rig.lose_lease(store, job)
    with store.write() as session:
        rescue(session)
    assert write(store, applied(late))
    assert messages(store) == []


def test_a_quota_that_is_the_same_as_before_is_told_as_recalculated_alone(store: Database) -> None:
    make_endpoint(store)
    for _ in range(2):
        write(store, answered(take_one(store, job_of(store, quota_wish())), 40))
    assert types(store) == ["quota.recalculated", "batch.completed"] * 2


def test_a_batch_completes_once_though_its_failed_job_is_retried_whose_new_end_is_told(store: Database) -> None:
    make_endpoint(store)
    job = job_of(store, wish(1))
    write(store, tried(take_one(store, job), REFUSED))
    with store.write() as session:
        assert steering.retry(session, [job]).done
    write(store, applied(take_one(store, job)))
    assert types(store) == ["target.failed", "batch.completed", "target.updated"]
    with store.write() as session:
        assert not steering.retry(session, [job]).done


def test_a_job_that_fails_again_after_a_retry_is_told_again_under_another_id(store: Database) -> None:
    make_endpoint(store)
    job = job_of(store, wish(1))
    for _ in range(2):
        write(store, tried(take_one(store, job), REFUSED))
        with store.write() as session:
            steering.retry(session, [job])
    ids = [one.id for one in messages(store) if one.type == "target.failed"]
    assert len(set(ids)) == 2


def test_an_abandoned_batch_that_is_taken_up_again_completes_once_more_without_the_word(store: Database) -> None:
    make_endpoint(store)
    batch = silent_batch(store)
    with store.write() as session:
        assert seal_abandoned(session) == [batch]
    with store.write() as session:
        assert unseal_abandoned(session, batch)
        seal(session, batch)
        seal(session, batch)
    assert types(store) == ["batch.completed"] * 2
    assert [body["data"]["abandoned"] for body in bodies(store)] == [True, False]


def in_a_fleet(store: Database, step: Step) -> None:
    """Four processes come to it in the same instant."""
    start = Barrier(4)

    def run(_: int) -> None:
        start.wait(timeout=90)
        with store.write() as session:
            step(session)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))


def test_a_whole_fleet_tells_of_a_quarantine_and_of_its_end_once(store: Database) -> None:
    make_endpoint(store)
    in_a_fleet(store, lambda session: quarantine.put_aside(session, "default", "down"))
    assert types(store) == ["remote.quarantined"]
    in_a_fleet(store, lambda session: quarantine.release(session, "default"))
    assert types(store) == ["remote.quarantined", "remote.recovered"]
    in_a_fleet(store, lambda session: quarantine.put_aside(session, "default", "down"))
    assert types(store) == ["remote.quarantined", "remote.recovered", "remote.quarantined"]


def test_a_fleet_that_tells_the_same_in_one_instant_writes_it_once(store: Database) -> None:
    make_endpoint(store)
    same = happening()
    in_a_fleet(store, lambda session: outbox.tell(session, [same]))
    assert (len(messages(store)), states(store)) == (1, ["pending"])


def test_told_twice_is_there_once_under_the_same_id(store: Database) -> None:
    make_endpoint(store)
    same = happening()
    tell(store, same, same)
    (first,) = messages(store)
    with store.write() as session:
        session.execute(update(outbox.deliveries).values(state=outbox.DELIVERED))
    tell(store, happening(), same)
    assert [one.id for one in messages(store)].count(first.id) == 1
    assert states(store) == ["delivered", "pending"], "what has arrived is not sent again"


def test_a_drift_that_stands_is_told_once_and_one_that_comes_back_again(store: Database) -> None:
    make_endpoint(store)
    for found in ([FINDING], [FINDING], [], [FINDING]):
        with store.write() as session:
            drifts.note_drifts(session, 1, {name_of(1): found}, {})
    assert types(store) == ["target.drifted"] * 2
    assert bodies(store)[0]["data"] == {
        "name": name_of(1),
        "field": "target",
        "kind": "changed",
        "wanted": "50",
        "found": "60",
        "action": "resent",
    }


def test_an_approval_that_stands_is_asked_for_and_told_once(store: Database) -> None:
    make_endpoint(store)
    for _ in range(2):
        with store.write() as session:
            guarded(store)(session)
    assert types(store) == ["roster.guard_tripped"]
    assert bodies(store)[0]["data"]["approvalId"] == 1


@dataclass(frozen=True)
class Asks:
    """``of`` are the types that come of the story below."""

    types: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    usecases: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    of: tuple[str, ...] = ()


ALL = (
    "target.updated",
    "target.failed",
    "batch.completed",
    "quota.recalculated",
    "batch.completed",
    "remote.quarantined",
)


@pytest.mark.parametrize(
    "asks",
    [
        Asks(of=ALL),
        Asks(types=("target.failed",), of=("target.failed",)),
        Asks(types=("target.*",), of=("target.updated", "target.failed")),
        Asks(types=("quota.*", "target.failed"), of=("target.failed", "quota.recalculated")),
        Asks(customers=("acme",), of=("target.updated", "target.failed", "quota.recalculated")),
        Asks(customers=("other",)),
        Asks(usecases=(USECASE,), of=("target.updated", "target.failed")),
        Asks(usecases=(f"{USECASE}2",)),
        Asks(batches=("1",), of=("target.updated", "target.failed", "batch.completed")),
        Asks(batches=("nightly",), of=("quota.recalculated", "batch.completed")),
        Asks(batches=("1", "nightly"), types=("batch.completed",), of=("batch.completed", "batch.completed")),
        Asks(batches=("2",), usecases=(USECASE,)),
        Asks(types=("remote.*",), customers=("acme",)),
    ],
    ids=str,
)
def test_an_endpoint_is_told_what_it_asks_for(store: Database, asks: Asks) -> None:
    make_endpoint(store, asks=EndpointFilter.of(asks.types, asks.customers, asks.usecases, asks.batches))
    fine, wrong = store_rig.job_ids(store, wish(1), wish(2))
    write(store, applied(take_one(store, fine)), tried(take_one(store, wrong), REFUSED))
    quota = job_of(store, quota_wish())
    with store.write() as session:
        session.execute(update(batches).where(batches.c.id == 2).values(label="nightly"))
    write(store, answered(take_one(store, quota), 40))
    with store.write() as session:
        quarantine.put_aside(session, "default", "down")
    assert sorted(types(store)) == sorted(asks.of), "what nobody asks for is not kept"
    assert len(deliveries_of(store)) == len(asks.of)


def test_several_endpoints_share_a_message_and_each_has_its_own_delivery(store: Database) -> None:
    make_endpoint(store, "ep_all")
    make_endpoint(store, "ep_none", asks=EndpointFilter.of(["quota.*"]))
    make_endpoint(store, "ep_some", asks=EndpointFilter.of(["remote.*"]))
    tell(store, happening())
    assert [one.endpoint_id for one in deliveries_of(store)] == ["ep_all", "ep_some"]
    assert len(messages(store)) == 1


def counted(store: Database, step: Step) -> list[str]:
    """The statements of a step on the webhooks' tables."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "webhook" in statement:
            seen.append(statement)

    sql_event.listen(store.engine, "before_cursor_execute", note)
    with store.write() as session:
        step(session)
    sql_event.remove(store.engine, "before_cursor_execute", note)
    return seen


def test_where_nobody_listens_nothing_is_written_and_one_question_is_all_it_costs(store: Database) -> None:
    def events() -> Iterator[Event]:
        raise AssertionError("an event was made that nobody hears")
        yield

    assert [one[:6] for one in counted(store, lambda session: outbox.tell(session, events()))] == ["SELECT"]
    job = take_one(store, job_of(store, wish(1)))
    unreadable = Claimed(**{name: getattr(job, name) for name in Claimed.__slots__} | {"wish": "no JSON"})
    write(store, tried(unreadable, REFUSED))
    assert messages(store) == []


def test_a_deleted_endpoint_hears_nothing_and_costs_nothing(store: Database) -> None:
    make_endpoint(store)
    with store.write() as session:
        endpoints.remove(session, "ep_1")
    tell(store, happening())
    assert messages(store) == []


def test_for_a_disabled_endpoint_the_message_is_kept_and_not_addressed(store: Database) -> None:
    make_endpoint(store)
    set_endpoint(store, state=outbox.DISABLED)
    tell(store, happening())
    assert (len(messages(store)), deliveries_of(store)) == (1, [])


def test_for_a_paused_endpoint_the_delivery_waits(store: Database) -> None:
    make_endpoint(store)
    with store.write() as session:
        assert endpoints.pause(session, "ep_1")
    tell(store, happening())
    assert states(store) == ["pending"]
    with store.write() as session:
        assert not endpoints.something_due(session)
        assert endpoints.take(session, "one", timedelta(seconds=30)) is None
        endpoints.resume(session, "ep_1")
        assert endpoints.something_due(session)


def test_what_happens_to_one_resource_is_numbered_in_its_order(store: Database) -> None:
    make_endpoint(store)
    for value in (10, 20, 30):
        write(store, applied(take_one(store, job_of(store, wish(1, value)))))
    told = [one for one in bodies(store) if one["type"] == "target.updated"]
    assert [one["data"]["target"] for one in told] == [10, 20, 30]


def test_the_envelope_says_type_version_and_when_it_happened(store: Database) -> None:
    make_endpoint(store)
    tell(store, happening())
    ((message,), (body,)) = messages(store), bodies(store)
    assert set(body) == {"type", "version", "timestamp", "data"}
    assert (body["type"], body["version"]) == ("remote.quarantined", 1)
    happened = parse_instant(body["timestamp"])
    assert isinstance(happened, datetime)
    assert happened == message.created_at.astimezone(UTC)
    assert message.id.startswith("msg_")
