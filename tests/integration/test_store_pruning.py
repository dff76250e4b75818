"""What is old enough goes, with all that hangs on it; what later jobs are compared with stays."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update

from schemas.coaching import Quota
from schemas.jobs import QuotaRecalculation
from tests.integration.store_rig import (
    AT_WORK,
    applied,
    assert_adds_up,
    batch,
    fates_of,
    job_ids,
    job_of,
    known,
    offer,
    quota_wish,
    settle,
    states,
    take,
    take_one,
    wish,
    write,
)
from worker.core.acceptance import Fate
from worker.core.decisions import Succeed
from worker.store import heartbeats
from worker.store.engine import Database
from worker.store.models import Heartbeat
from worker.store.pruning import prune
from worker.store.records import Record
from worker.store.tables import attempts, batches, jobs, quota_answers, rejections, resources

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEEP = timedelta(days=30)


def age(store: Database) -> None:
    """All that is complete was so long ago."""
    with store.write() as session:
        session.execute(update(batches).where(batches.c.completed_at.is_not(None)).values(completed_at=LONG_AGO))
        session.execute(update(quota_answers).values(answered_at=LONG_AGO))


def prune_all(store: Database) -> int:
    deleted = 0
    while True:
        with store.write() as session:
            portion = prune(session, KEEP)
        if not portion:
            return deleted
        deleted += portion


def counts(store: Database) -> list[int]:
    with store.read() as session:
        tables = (batches, jobs, attempts, rejections, resources)
        return [session.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def test_a_batch_that_was_complete_long_ago_goes_with_its_jobs_attempts_and_rejections(store: Database) -> None:
    settle(store, wish(1), wish(2))
    offer(store, None, None)
    young = job_of(store, wish(3))
    age(store)
    assert counts(store) == [3, 3, 2, 2, 3]
    assert prune_all(store) == 2 + 1 + 1
    assert counts(store) == [1, 1, 0, 0, 3]
    assert states(store, [young]) == ["pending"]
    assert_adds_up(store)


def test_what_is_young_or_still_open_stays(store: Database) -> None:
    settle(store, wish(1))
    held = take_one(store, job_of(store, wish(2)))
    before = counts(store)
    assert prune_all(store) == 0
    age(store)
    assert prune_all(store) == 2
    assert counts(store)[0] == before[0] - 1
    write(store, applied(held))
    assert_adds_up(store)


def test_after_pruning_the_newest_wish_still_counts_and_what_is_known_is_still_known(store: Database) -> None:
    settle(store, wish(1, 10, as_of=datetime(2026, 1, 31, tzinfo=UTC)))
    age(store)
    prune_all(store)
    older, same = fates_of(store, wish(1, 5, as_of=datetime(2026, 1, 30, tzinfo=UTC)), wish(1, 10))
    assert (older.fate, same.fate) == (Fate.SUPERSEDED, Fate.UNCHANGED)
    target = known(store, 1)
    assert target
    assert target.target == 10


def test_of_quotas_the_newest_of_each_question_stays(store: Database) -> None:
    for revision in (1, 1, 2):
        asked = quota_wish().model_copy(
            update={"scorecard_template_name": f"{quota_wish().scorecard_template_name}{revision}"}
        )
        (held,) = take(store, *job_ids(store, asked))
        wanted = QuotaRecalculation.model_validate_json(held.wish)
        write(store, Record(held, Succeed("recalculated", Quota(total_agent_quota=1)), (AT_WORK,), wanted))
    age(store)
    prune_all(store)
    with store.read() as session:
        assert session.execute(select(quota_answers.c.id).order_by(quota_answers.c.id)).scalars().all() == [2, 3]


def test_a_key_is_free_again_as_soon_as_the_first_of_its_rows_is_gone(store: Database) -> None:
    first = offer(store, None, wish(1), key="nightly")
    write(store, *map(applied, take(store, *job_ids(store, wish(1, 60)))))
    age(store)
    with store.write() as session:
        assert prune(session, KEEP) == 1
    again = offer(store, None, wish(1), key="nightly")
    assert (again.batch_id != first.batch_id, again.replayed) == (True, False)
    prune_all(store)
    assert batch(store, again.batch_id).key == "nightly"


def test_processes_that_are_gone_are_forgotten(store: Database) -> None:
    with store.write() as session:
        heartbeats.beat(session, "host:1", "worker")
        heartbeats.beat(session, "host:1", "worker")
        heartbeats.beat(session, "host:2", "loops")
    with store.read() as session:
        assert [one.name for one in heartbeats.seen_within(session, KEEP)] == ["host:2", "host:1"]
    with store.write() as session:
        session.get_one(Heartbeat, "host:1").seen_at = LONG_AGO
        session.flush()
        prune(session, KEEP)
    with store.read() as session:
        assert [one.name for one in heartbeats.seen_within(session, timedelta(days=10_000))] == ["host:2"]
