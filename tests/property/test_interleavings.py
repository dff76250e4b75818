"""P2, P3 and P6 under any order of acceptance, claims, answers, losses, crashes, redeliveries and late writes."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import event

from tests.property.interleavings import Step, World, stories
from worker.store import schema
from worker.store.engine import Database

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # a world empties the store before it lives


@pytest.fixture(scope="module")
def quick_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """SQLite that does not wait for the disk: nothing here loses power."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('interleavings') / 'coachsync.db'}")
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    schema.upgrade(database)
    yield database
    database.close()


@settings(max_examples=30)
@given(story=stories())
def test_the_newest_wish_wins_each_wish_has_one_effect_and_all_adds_up(
    quick_store: Database, story: list[Step]
) -> None:
    World(quick_store).live(story)


@settings(max_examples=15)
@given(story=stories(people=True))
def test_no_retry_overwrites_what_a_person_changed_since_the_first_try(
    quick_store: Database, story: list[Step]
) -> None:
    World(quick_store).live(story)


@pytest.mark.postgres
@settings(max_examples=6, phases=[Phase.generate], suppress_health_check=SHARED)
@given(story=stories())
def test_postgresql_keeps_the_same_promises(postgres_store: Database, story: list[Step]) -> None:
    World(postgres_store).live(story)
