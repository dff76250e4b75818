"""Waits that outlast a chunk: for one lane or for all, the longest counts, and each ends by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from schemas.lanes import Lane
from worker.core.chunks import CHUNK_BUDGET
from worker.store import gate, pauses
from worker.store.engine import Database
from worker.store.tables import pauses as table

LONG = CHUNK_BUDGET + timedelta(seconds=30)


def pause(store: Database, lane: Lane | None, wait: timedelta) -> None:
    with store.write() as session:
        pauses.pause(session, "default", lane, wait)


def paused(store: Database, remote: str = "default") -> set[Lane]:
    with store.read() as session:
        return {lane for lane in Lane if gate.look(session, remote, lane).paused}


def cooldown(store: Database) -> timedelta:
    with store.read() as session:
        return pauses.cooldown(session, "default")


def test_a_lane_whose_limit_is_used_up_is_left_alone_and_the_others_are_not(store: Database) -> None:
    pause(store, Lane.BULK, LONG)
    assert paused(store) == {Lane.BULK}
    assert paused(store, "another") == set()
    assert cooldown(store) == timedelta(0), "the remote has asked for nothing"


def test_a_wait_that_the_remote_asked_for_is_for_every_lane(store: Database) -> None:
    pause(store, None, LONG)
    assert paused(store) == set(Lane)
    assert LONG - timedelta(seconds=5) < cooldown(store) <= LONG


@pytest.mark.parametrize("waits", [(LONG, timedelta(seconds=1)), (timedelta(seconds=1), LONG)], ids=["first", "last"])
def test_the_longest_counts(store: Database, waits: tuple[timedelta, timedelta]) -> None:
    for wait in waits:
        pause(store, None, wait)
    assert cooldown(store) > CHUNK_BUDGET


def test_a_wait_that_a_chunk_can_sit_out_stops_no_chunk(store: Database) -> None:
    pause(store, None, CHUNK_BUDGET)
    assert paused(store) == set()
    assert cooldown(store) > timedelta(0)


def test_a_pause_ends_by_itself(store: Database) -> None:
    pause(store, None, LONG)
    with store.write() as session:
        session.execute(update(table).values(until=datetime(2020, 1, 1, tzinfo=UTC)))
    assert paused(store) == set()
    assert cooldown(store) == timedelta(0)
