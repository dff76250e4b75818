"""What the tests of the store share: wishes, short forms of its transactions, and its promises as assertions."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlmodel import col

from schemas.coaching import Target
from schemas.ids import ROW_BITS, job_id
from schemas.jobs import JobState, QuotaRecalculation, TargetUpdate, Wish
from schemas.lanes import Lane
from worker.configuration.credentials import NoCredentials
from worker.configuration.remotes import NoRemote, Remote
from worker.configuration.values import Idempotency
from worker.core.acceptance import Offer, Quiet
from worker.core.decisions import Decision, GiveBack, Succeed
from worker.intake.accept import Offered, Receipt, RowFate, Unreadable, accept, canonical
from worker.store.acceptance import Page, accept_page
from worker.store.batches import NewBatch, open_batch, seal
from worker.store.claims import Claimed, Lease, claim, rescue_own
from worker.store.engine import Database, database_now
from worker.store.models import Batch, Job, KnownTarget
from worker.store.records import Record, Tried, Worker, record
from worker.store.tables import jobs, rejections

HOME = "customers/acme/profiles/main"
TEMPLATE = f"{HOME}/scorecardTemplates/s"
USECASE = f"{HOME}/usecases/u"
PLAN = f"{HOME}/coachingPlans/p"
REMOTE = Remote(
    "default", "http://127.0.0.1", NoCredentials(), "10/second", 32, timedelta(seconds=10), Idempotency.READ
)
WORKER = Worker("default", "host:1")
LASTS = timedelta(seconds=30)
_REQUESTS = itertools.count(1)
AT_WORK = Tried("update_target", datetime(2026, 1, 1, tzinfo=UTC), 3.0, 200, "answered", None, "r-1")


def name_of(target: object) -> str:
    return f"{HOME}/targets/t-{target}"


def wish(target: object, value: float = 50.0, **said: Any) -> TargetUpdate:
    fields = {"criterion_or_chapter_id": "c", "coaching_plan_name": PLAN} | said
    return TargetUpdate(
        name=name_of(target), scorecard_template_name=TEMPLATE, usecase_name=USECASE, target=value, **fields
    )


def quota_wish(**said: Any) -> QuotaRecalculation:
    return QuotaRecalculation(scorecard_template_name=f"{TEMPLATE}@1", **said)


def rows_of(wishes: Iterable[Wish | None]) -> list[Offered | Unreadable]:
    """None is a row that cannot be read. Rows count from 1, lines from 2: there is a header."""
    return [
        Unreadable(row, row + 1, "target", "must be a number", "many") if one is None else Offered(row, row + 1, one)
        for row, one in enumerate(wishes, start=1)
    ]


def remote_for(customer: str) -> Remote | NoRemote:
    return REMOTE if customer == "acme" else NoRemote(customer, f"no remote serves {customer}")


def offer(
    store: Database,
    *wishes: Wish | None,
    key: str | None = None,
    lane: Lane = Lane.BULK,
    forced: bool = False,
    fates: list[RowFate] | None = None,
) -> Receipt:
    """Accept the wishes as one batch; ``fates`` is extended by each row's."""
    told = [] if fates is None else fates
    return accept(
        store, rows_of(wishes), NewBatch("test", lane, key=key), remote_for, forced=forced, on_page=told.extend
    )


def fates_of(store: Database, *wishes: Wish | None, **how: Any) -> list[RowFate]:
    fates: list[RowFate] = []
    offer(store, *wishes, fates=fates, **how)
    return fates


def job_ids(store: Database, *wishes: Wish | None, **how: Any) -> list[int]:
    return [fate.job_id for fate in fates_of(store, *wishes, **how) if fate.job_id is not None]


def job_of(store: Database, wish: Wish, **how: Any) -> int:
    (one,) = job_ids(store, wish, **how)
    return one


def resting(store: Database, quiet: Quiet, *wishes: Wish) -> list[int]:
    """Accept one page of wishes that rest; returns their jobs."""
    with store.write() as session:
        batch = open_batch(session, NewBatch("storm", Lane.BULK))
        offers = [Offer(job_id(batch.id, row), row, one, canonical(one)) for row, one in enumerate(wishes, start=1)]
        accept_page(session, Page(batch.id, Lane.BULK, offers, quiet=quiet), lambda _: REMOTE.name)
        seal(session, batch.id)
    return [offer.id for offer in offers]


def take(store: Database, *ids: int, owner: str = "m-1", lasts: timedelta = LASTS) -> list[Claimed]:
    """As a worker does that begins a chunk of these."""
    with store.write() as session:
        rescue_own(session, ids, owner)
        return claim(session, ids, Lease(owner, lasts), database_now(session))


def take_one(store: Database, job: int, owner: str = "m-1", lasts: timedelta = LASTS) -> Claimed:
    (claimed,) = take(store, job, owner=owner, lasts=lasts)
    return claimed


def write(store: Database, *records: Record) -> list[Record]:
    with store.write() as session:
        return record(session, records, WORKER)


def tried(job: Claimed, decision: Decision) -> Record:
    return Record(job, decision, (anew(AT_WORK),))


def anew(call: Tried) -> Tried:
    """The same call as another request: each has an id of its own."""
    return replace(call, request_id=f"r-{next(_REQUESTS)}")


def applied(job: Claimed, value: float | None = None) -> Record:
    """The remote did what was asked."""
    asked = TargetUpdate.model_validate_json(job.wish)
    return tried(job, Succeed("applied", remote_target(asked, value)))


def given_back(job: Claimed) -> Record:
    return Record(job, GiveBack())


def remote_target(asked: TargetUpdate, value: float | None = None) -> Target:
    return Target(
        name=asked.name,
        scorecard_template_name=asked.scorecard_template_name,
        criterion_or_chapter_id=asked.criterion_or_chapter_id or "",
        target=asked.target if value is None else value,
        usecase_name=asked.usecase_name,
        coaching_plan_name=asked.coaching_plan_name or "",
        qa_score=asked.qa_score,
    )


def settle(store: Database, *wishes: TargetUpdate) -> None:
    """Accept the wishes and have the remote do them: afterwards they are known."""
    ids = job_ids(store, *wishes)
    write(store, *(applied(job) for job in take(store, *ids, owner="settling")))


def job(store: Database, id_: int) -> Job:
    with store.read() as session:
        return session.get_one(Job, id_)


def all_jobs(store: Database) -> dict[int, Job]:
    with store.read() as session:
        return {one.id: one for one in session.execute(select(Job).order_by(col(Job.id))).scalars()}


def open_jobs(store: Database) -> list[int]:
    """Pending or running."""
    return [id_ for id_, one in all_jobs(store).items() if not JobState(one.state).final]


def batch(store: Database, id_: int) -> Batch:
    with store.read() as session:
        return session.get_one(Batch, id_)


def known(store: Database, target: object) -> KnownTarget | None:
    with store.read() as session:
        return session.get(KnownTarget, name_of(target))


def states(store: Database, ids: Sequence[int]) -> list[JobState]:
    return [JobState(job(store, id_).state) for id_ in ids]


def change(store: Database, ids: Sequence[int], **values: Any) -> None:
    """Write the state that time or a crash leaves."""
    with store.write() as session:
        session.execute(update(jobs).where(jobs.c.id.in_(ids)).values(**values))


def lose_lease(store: Database, *ids: int) -> None:
    change(store, ids, lease_until=datetime(2020, 1, 1, tzinfo=UTC))


def let_time_pass(store: Database) -> None:
    """Every wait is over, every lease has ended."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    with store.write() as session:
        session.execute(update(jobs).where(jobs.c.state == JobState.PENDING).values(due_at=past, published_until=None))
        session.execute(update(jobs).where(jobs.c.state == JobState.RUNNING).values(lease_until=past))


def assert_adds_up(store: Database) -> None:
    """P6: a batch's counters are a recount of its rows; complete exactly when sealed with nothing open."""
    with store.read() as session:
        found = session.execute(select(jobs.c.id, jobs.c.state, jobs.c.result)).all()
        refused = Counter(session.execute(select(rejections.c.batch_id)).scalars())
        for one in session.execute(select(Batch).order_by(col(Batch.id))).scalars():
            mine = [row for row in found if row.id >> ROW_BITS == one.id]
            counted = Counter[str](row.state for row in mine)
            expected = {name: counted[name] for name in ("succeeded", "failed", "superseded", "cancelled")} | {
                "rows": len(mine) + refused[one.id],
                "accepted": len(mine),
                "rejected": refused[one.id],
                "unchanged": sum(row.result == "unchanged" for row in mine),
            }
            assert {name: getattr(one, name) for name in expected} == expected
            still_open = counted["pending"] + counted["running"]
            assert (one.completed_at is not None) == (one.sealed_at is not None and not still_open)
