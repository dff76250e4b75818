"""A token that is not let in, and thousands of jobs behind it: single probes go out, and no job pays for it."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
from celery import Celery
from sqlalchemy import func, select, update

from api_adapter.sandbox.seed import sample_targets
from schemas.jobs import JobState, TargetUpdate
from schemas.lanes import Lane
from tests.integration.executor_rig import TOKEN, Options, Rig, rigged
from tests.integration.store_rig import REMOTE, assert_adds_up
from worker.app import make_app, queue_key
from worker.core.quarantine import SLOWEST_PROBE, probe_pause
from worker.executor import Chunk
from worker.loops.dispatcher import Dispatcher
from worker.store.engine import Database, database_now
from worker.store.tables import jobs, quarantines
from worker.tasks import _tell

JOBS = 2_000
IN_FLIGHT = 16
PROBES = 8
FAST = replace(REMOTE, rate_limit="1000/second")


@dataclass(frozen=True, slots=True)
class Fleet:
    """A dispatcher on a real broker, and two worker processes' executors that take what it brings."""

    dispatcher: Dispatcher
    app: Celery
    client: redis.Redis
    workers: tuple[Rig, ...]

    async def work(self) -> int:
        """Bring what may go and run it to its end; returns how many jobs were brought."""
        brought = self.dispatcher.run_once()
        chunks = self._taken()
        await asyncio.gather(*(self._run_all(chunks, worker) for worker in self.workers))
        return brought

    def _taken(self) -> Iterator[Chunk]:
        for lane in Lane:
            while message := self.client.rpop(queue_key(self.app, lane)):
                said = json.loads(message)
                _, given, _ = json.loads(base64.b64decode(said["body"]))
                yield Chunk(said["headers"]["id"], given["remote"], lane, tuple(given["job_ids"]), given["probe"])

    async def _run_all(self, chunks: Iterator[Chunk], worker: Rig) -> None:
        for chunk in chunks:
            _tell(await worker.executor.run_chunk(chunk, worker.access), len(chunk.job_ids))


@pytest.fixture
def app(valkey: str) -> Iterator[Celery]:
    app = make_app(valkey)
    yield app
    app.close()


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey, socket_timeout=5) as client:
        yield client


def wishes() -> Iterator[TargetUpdate]:
    for target in sample_targets("acme", JOBS):
        yield TargetUpdate(
            name=target.name,
            scorecard_template_name=target.scorecard_template_name,
            usecase_name=target.usecase_name,
            criterion_or_chapter_id=target.criterion_or_chapter_id,
            coaching_plan_name=target.coaching_plan_name,
            target=42.0,
        )


def states(store: Database) -> dict[str, int]:
    with store.read() as session:
        query = select(jobs.c.state, func.count().label("count")).group_by(jobs.c.state)
        return {row.state: row.count for row in session.execute(query)}


def pause_before_the_next_probe(store: Database) -> timedelta:
    with store.read() as session:
        left: datetime = session.execute(select(quarantines.c.probe_due_at)).scalar_one()
        return left - database_now(session)


def let_the_probe_be_due(store: Database) -> None:
    with store.write() as session:
        session.execute(update(quarantines).values(probe_due_at=datetime(2020, 1, 1, tzinfo=UTC)))


def test_a_token_that_is_not_let_in_fails_no_job_and_once_it_is_let_in_all_succeed(
    store: Database, app: Celery, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with rigged(
            store, Options(token="another", max_in_flight=IN_FLIGHT, request_timeout=timedelta(seconds=10))
        ) as rig:
            rig.sandbox.state.put_all(sample_targets("acme", JOBS))
            rig.accept(*wishes())
            fleet = Fleet(Dispatcher(store, app, client, [FAST]), app, client, (rig, await rig.beside()))
            assert await fleet.work() == JOBS
            told = len(rig.sandbox.ledger.arrivals)
            assert told <= 2 * IN_FLIGHT, "each process learns it of what it has in flight, and sends no more"

            await _probe_in_vain(fleet, store)
            assert len(rig.sandbox.ledger.arrivals) == told + PROBES
            assert states(store) == {JobState.PENDING: JOBS}

            rig.sandbox.api.options = replace(rig.sandbox.api.options, token=TOKEN)
            let_the_probe_be_due(store)
            assert await fleet.work() == 1
            assert states(store) == {JobState.PENDING: JOBS - 1, JobState.SUCCEEDED: 1}
            async with asyncio.timeout(60):
                while states(store) != {JobState.SUCCEEDED: JOBS}:
                    await fleet.work()
            assert_adds_up(store)

    asyncio.run(scene())
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert [action for action in actions if action.startswith("remote_")] == ["remote_quarantined", "remote_released"]


async def _probe_in_vain(fleet: Fleet, store: Database) -> None:
    pauses = []
    for _ in range(PROBES):
        let_the_probe_be_due(store)
        assert await fleet.work() == 1
        pauses.append(pause_before_the_next_probe(store))
    expected = [probe_pause(probes) for probes in range(1, PROBES + 1)]
    assert all(most / 2 < left <= most for left, most in zip(pauses, expected, strict=True)), pauses
    assert expected[-1] == SLOWEST_PROBE
    assert await fleet.work() == 0, "it is not time yet"
