"""Workers that die with requests at the remote, jobs that kill their workers, a database that restarts under load."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from schemas.jobs import JobState
from tests.acceptance.chaos import ONLY_IN_CHAOS
from tests.acceptance.installation import Config, Installation, installed, wait_until
from tests.acceptance.wishes import target_of, wish
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer
from worker.store.tables import jobs

pytestmark = list(ONLY_IN_CHAOS)

HELD = {"kind": "delay", "delay": 1.5}  # less than a request's timeout


@pytest.fixture(params=["read", "header"])
def site(request: pytest.FixtureRequest, own_valkey: ValkeyServer, tmp_path: Path) -> Iterator[Installation]:
    """Where keys are not honoured and we read first, and where they are and we rest on them."""
    url = f"sqlite:///{tmp_path / 'coachsync.db'}"
    with installed(Config(url, idempotency=request.param), tmp_path, own_valkey) as installation:
        installation.start_all()
        yield installation


def test_requests_that_the_remote_holds_while_their_worker_dies_have_one_effect(site: Installation) -> None:
    """Sent, not recorded, not even done: it is done after the death."""
    numbers = range(8)
    site.remote.script([{"match": {"method": "PATCH"}, "times": len(numbers), "fault": HELD}])
    batch = site.accept(wish(number, 2.5) for number in numbers)
    wait_until(lambda: len(site.remote.arrivals()) == len(numbers), "the remote holds them", seconds=90)
    for name in ("worker-1", "worker-2"):
        site.started[name].kill()
    assert not site.remote.effects()
    site.revive()
    site.await_end(batch)
    assert site.states(batch) == {JobState.SUCCEEDED: len(numbers)}
    assert site.crashes(batch) == len(numbers)
    effects = site.remote.effects()
    assert {effect.name: effect.value for effect in effects} == {target_of(number).name: 2.5 for number in numbers}
    assert len(effects) == len(numbers)
    asked = Counter(arrival.operation for arrival in site.remote.arrivals())
    reads = site.config.idempotency == "read"
    assert asked == ({"update_target": 8, "get_target": 8} if reads else {"update_target": 16})
    assert site.remote.replays() == (0 if reads else len(numbers))


@pytest.mark.parametrize("site", ["read"], indirect=True)
def test_a_job_whose_worker_process_dies_each_time_fails_as_poison_while_the_others_are_done(
    site: Installation,
) -> None:
    poison, *others = range(100, 120)
    name = target_of(poison).name
    site.remote.script([{"match": {"path": f"/v1/{name}"}, "fault": {"kind": "delay", "delay": 5.0}}])
    batch = site.accept(wish(number, 3.5) for number in [poison, *others])

    def strikes_until_all_has_ended() -> bool:
        if holder := _holder(site, name):
            with suppress(ProcessLookupError):  # it has just died of the last strike
                os.kill(holder, signal.SIGKILL)
        return site.ended(batch)

    wait_until(strikes_until_all_has_ended, "the job is given up", seconds=120)
    assert site.states(batch) == {JobState.FAILED: 1, JobState.SUCCEEDED: len(others)}
    assert site.error_of(name) == "poison"
    assert set(site.remote.values()) >= {target_of(number).name for number in others}


@pytest.mark.postgres
def test_a_database_that_restarts_under_load_loses_nothing(
    postgres_server: PostgresServer, own_valkey: ValkeyServer, restartable_postgres_url: str, tmp_path: Path
) -> None:
    with installed(Config(restartable_postgres_url), tmp_path, own_valkey) as site:
        site.start_all()
        numbers = range(1_500)
        batch = site.accept(wish(number, 4.5) for number in numbers)
        wait_until(lambda: site.batch(batch).succeeded > 300, "it is under way", seconds=90)
        postgres_server.restart()
        site.await_end(batch)
        assert site.states(batch) == {JobState.SUCCEEDED: len(numbers)}
        assert max(site.remote.effects_by_key().values()) == 1
        assert len(site.remote.effects()) == len(numbers)


@pytest.mark.parametrize("site", ["read"], indirect=True)
def test_a_worker_that_starts_before_its_broker_comes_alive_by_itself(site: Installation) -> None:
    worker = site.started["worker-1"]
    worker.kill()
    site.started["worker-2"].kill()
    site.broker.kill()
    worker.start()
    wait_until(lambda: "Cannot connect" in worker.logs(), "the worker misses its broker", seconds=90)
    site.broker.restart()
    worker.ready()
    batch = site.accept(wish(number, 5.5) for number in range(50))
    site.await_end(batch)
    assert site.states(batch) == {JobState.SUCCEEDED: 50}


def _holder(site: Installation, resource: str) -> int | None:
    """The pid of the worker process that has the job now."""
    with site.runtime.database.read() as session:
        query = select(jobs.c.lease_owner).where(jobs.c.resource == resource, jobs.c.state == JobState.RUNNING)
        owner = session.execute(query).scalar_one_or_none()
    if owner is None:
        return None
    active = site.runtime.app.control.inspect(timeout=0.5).active() or {}
    return next((task["worker_pid"] for tasks in active.values() for task in tasks if task["id"] == owner), None)
