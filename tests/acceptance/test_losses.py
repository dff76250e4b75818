"""What may be lost at any moment: a worker, the broker, a loop, the remote's good will. Real processes and signals."""

import time
from collections import Counter
from collections.abc import Iterable

import pytest
from pytest_celery import CeleryTestSetup

from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.acceptance.installation import TOKEN, Installation, wait_until
from tests.acceptance.wishes import target_of, wish

MEANWHILE = 600  # bulk requests before an urgent one: half the batch, and less than P10's five seconds of them
STOPS_WITHIN = 30.0  # a chunk's time, a request's, a loaded machine's


def assert_each_done_once(installation: Installation, batch: int, values: dict[str, float]) -> None:
    assert installation.states(batch) == {JobState.SUCCEEDED: len(values)}
    effects = installation.remote.effects()
    assert {effect.name: effect.value for effect in effects} == values
    assert set(Counter(effect.key for effect in effects).values()) == {1}


def wanted(numbers: Iterable[int], value: float) -> dict[str, float]:
    return {target_of(number).name: value for number in numbers}


def updates_seen(installation: Installation) -> int:
    """The remote is also listed now and then, by the reconciliation of whoever runs the loops."""
    return sum(arrival.operation == "update_target" for arrival in installation.remote.arrivals())


def wait_until_under_way(installation: Installation, batch: int) -> None:
    wait_until(lambda: installation.batch(batch).succeeded > 50, "the batch is under way", seconds=90)
    assert installation.batch(batch).completed_at is None


def test_the_setup_is_pytest_celerys_own(celery_setup: CeleryTestSetup) -> None:
    """Its broker is our valkey; its workers answer there, to our application."""
    assert celery_setup.ready(control=True)
    assert len(celery_setup.worker_cluster) == 2


def test_a_broker_that_dies_and_comes_back_empty_loses_nothing(
    celery_setup: CeleryTestSetup, installation: Installation
) -> None:
    numbers = range(600)
    batch = installation.accept(wish(number, 1.25) for number in numbers)
    wait_until_under_way(installation, batch)
    celery_setup.broker.kill()
    celery_setup.broker.restart()
    installation.await_end(batch)
    assert_each_done_once(installation, batch, wanted(numbers, 1.25))
    assert not installation.crashes(batch), "the workers live on, and finish what they had"


def test_a_worker_that_is_told_to_stop_finishes_what_is_in_flight_and_gives_back_the_rest(
    celery_setup: CeleryTestSetup, installation: Installation
) -> None:
    numbers = range(600)
    batch = installation.accept(wish(number, 2.25) for number in numbers)
    wait_until_under_way(installation, batch)
    asked = time.monotonic()
    celery_setup.worker.kill("SIGTERM")
    assert time.monotonic() - asked < STOPS_WITHIN
    assert installation.started["worker-1"].exit_code == 0
    installation.await_end(batch)
    assert_each_done_once(installation, batch, wanted(numbers, 2.25))
    assert not installation.crashes(batch)
    assert updates_seen(installation) == len(numbers), "no request was cut off, none was sent again"


@pytest.mark.usefixtures("celery_setup")
def test_two_loops_at_once_double_nothing(installation: Installation) -> None:
    numbers = range(300)
    assert [installation.started[name].status for name in ("loops-1", "loops-2")] == ["running"] * 2
    batch = installation.accept(wish(number, 3.25) for number in numbers)
    installation.await_end(batch)
    assert_each_done_once(installation, batch, wanted(numbers, 3.25))
    assert updates_seen(installation) == len(numbers)


@pytest.mark.usefixtures("celery_setup")
def test_an_expired_token_puts_the_remote_aside_and_fails_no_job(installation: Installation) -> None:
    numbers = range(200)
    installation.remote.settings(token="a newer one")
    batch = installation.accept(wish(number, 5.25) for number in numbers)
    wait_until(lambda: installation.quarantined() is not None, "the remote is put aside", seconds=90)
    wait_until(lambda: installation.probes() >= 1, "it is probed", seconds=90)
    assert set(installation.states(batch)) <= {JobState.PENDING, JobState.RUNNING}
    assert updates_seen(installation) < len(numbers), "not each job has to be told"
    installation.remote.settings(token=TOKEN)
    installation.await_end(batch)
    assert_each_done_once(installation, batch, wanted(numbers, 5.25))
    assert installation.quarantined() is None


@pytest.mark.usefixtures("celery_setup")
def test_an_interactive_change_overtakes_a_bulk_batch(installation: Installation) -> None:
    bulk = installation.accept(wish(number, 6.25) for number in range(1_200))
    wait_until_under_way(installation, bulk)
    asked = {}
    for number in range(5_000, 5_003):
        asked[target_of(number).name] = time.monotonic()
        installation.await_end(installation.accept([wish(number, 7.25)], Lane.INTERACTIVE))
    installation.await_end(bulk)
    arrivals = installation.remote.arrivals()
    for name, since in asked.items():
        (sent,) = [one.at for one in arrivals if one.name == name]
        assert sum(since < one.at < sent for one in arrivals) < MEANWHILE
    assert max(one.at for one in arrivals) > sent, "the bulk batch was there all the time"
