"""A remote that is put aside: one quarantine for the whole fleet, one prober at a time, at a decaying cadence."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from sqlalchemy import update

from schemas.lanes import Lane
from tests.integration.store_rig import job_ids, wish
from worker.core.quarantine import SLOWEST_PROBE, probe_pause
from worker.store import quarantine
from worker.store.dispatching import take_due
from worker.store.engine import Database
from worker.store.models import Quarantine
from worker.store.tables import quarantines


def put_aside(store: Database, reason: str = "down") -> bool:
    with store.write() as session:
        return quarantine.put_aside(session, "default", reason)


def standing(store: Database) -> Quarantine:
    with store.read() as session:
        found = quarantine.find(session, "default")
    assert found
    return found


def take_turn(store: Database) -> bool:
    with store.write() as session:
        return quarantine.take_probe_turn(session, "default")


def let_the_pause_pass(store: Database) -> None:
    with store.write() as session:
        session.execute(update(quarantines).values(probe_due_at=datetime(2020, 1, 1, tzinfo=UTC)))


def pause(store: Database) -> timedelta:
    """From now to the next probe, by the clock that the rows are written with."""
    return standing(store).probe_due_at - datetime.now(UTC)  # noqa: TID251 - SQLite's clock; PostgreSQL's is on this machine


def test_the_first_to_put_a_remote_aside_is_told_so_and_the_reason_is_the_last_ones(store: Database) -> None:
    assert [put_aside(store, reason) for reason in ("down", "still down")] == [True, False]
    assert standing(store).reason == "still down"
    with store.read() as session:
        assert [one.remote for one in quarantine.list_all(session)] == ["default"]


def test_a_fleet_that_meets_the_failure_together_makes_one_quarantine_that_is_probed_within_a_second(
    store: Database,
) -> None:
    start = Barrier(4)

    def trip(_: int) -> bool:
        start.wait(timeout=90)
        return put_aside(store)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(trip, range(4))) == [False, False, False, True]
    assert pause(store) <= probe_pause(0)


def test_with_nothing_to_send_nobody_probes_and_the_first_job_is_probed_with_at_once(store: Database) -> None:
    put_aside(store)
    let_the_pause_pass(store)
    assert not take_turn(store)
    job_ids(store, wish(1))
    assert take_turn(store)
    assert standing(store).probes == 1


def test_the_probes_turn_has_one_taker_and_none_before_it_is_due(store: Database) -> None:
    job_ids(store, wish(1))
    assert not take_turn(store)
    put_aside(store)
    assert not take_turn(store)
    let_the_pause_pass(store)
    start = Barrier(4)

    def ask(_: int) -> bool:
        start.wait(timeout=90)
        return take_turn(store)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, range(4))) == [False, False, False, True]


def test_each_probe_that_fails_doubles_the_pause_up_to_the_slowest(store: Database) -> None:
    job_ids(store, wish(1))
    put_aside(store)
    for probes in range(1, 9):
        let_the_pause_pass(store)
        assert take_turn(store)
        put_aside(store)
        assert probe_pause(probes) / 2 < pause(store) <= probe_pause(probes)
    assert probe_pause(8) == SLOWEST_PROBE


def test_a_probe_that_was_lost_is_sent_again(store: Database) -> None:
    job_ids(store, wish(1))
    put_aside(store)
    let_the_pause_pass(store)
    take_turn(store)
    assert timedelta(0) < pause(store) <= quarantine.PROBE_LASTS
    let_the_pause_pass(store)
    assert take_turn(store)


def test_a_release_ends_it_once_and_lets_the_jobs_go_at_once(store: Database) -> None:
    ids = job_ids(store, wish(1), wish(2))
    put_aside(store)
    with store.write() as session:
        take_due(session, "default", Lane.BULK, 10)
    with store.write() as session:
        assert quarantine.release(session, "default")
        assert not quarantine.release(session, "default")
        assert quarantine.find(session, "default") is None
        assert take_due(session, "default", Lane.BULK, 10).together == ids
    assert put_aside(store)
