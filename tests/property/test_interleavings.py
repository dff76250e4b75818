"""P2, P3 and P6 under any order of acceptance, claims, answers, losses, crashes, redeliveries and late writes."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.property.interleavings import Step, World, stories
from worker.store.engine import Database

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # each story begins with an empty store


@settings(max_examples=20, suppress_health_check=SHARED)
@given(story=stories())
def test_the_newest_wish_wins_each_wish_has_one_effect_and_all_adds_up(
    sqlite_store: Database, story: list[Step]
) -> None:
    World(sqlite_store).live(story)


@settings(max_examples=10, suppress_health_check=SHARED)
@given(story=stories(people=True))
def test_no_retry_overwrites_what_a_person_changed_since_the_first_try(
    sqlite_store: Database, story: list[Step]
) -> None:
    World(sqlite_store).live(story)


@pytest.mark.postgres
@settings(max_examples=4, phases=[Phase.generate], suppress_health_check=SHARED)
@given(story=stories())
def test_postgresql_keeps_the_same_promises(postgres_store: Database, story: list[Step]) -> None:
    World(postgres_store).live(story)
