"""The whole job under fire, on both databases: a big file with duplicates, older wishes and wrong rows; a remote that
errs in every way; a worker killed and the broker wiped half way.

It runs where COACHSYNC_TEST_ROWS says how many rows (`make chaos`), and has the machine to itself, since it judges how
full the limit is kept. With the suite the short storm (test_storm.py) checks the same claims.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from schemas.jobs import JobState
from tests.acceptance.chaos import ONLY_IN_CHAOS, ROWS
from tests.acceptance.installation import Config, Installation, installed
from tests.acceptance.night import KINDS, Plan, Story, live_through
from tests.services.valkey import ValkeyServer

pytestmark = list(ONLY_IN_CHAOS)

PLAN = Plan(rows=int(ROWS or 0), rate=200, use=0.95)
ENGINES = ("sqlite", "postgres")
Stories = dict[str, Story]


@pytest.fixture(scope="module")
def stories(own_postgres_url: str) -> Iterator[Stories]:
    """The same night on each database: on SQLite we read before a doubtful write, on PostgreSQL we rest on the keys."""
    with ExitStack() as stack:
        sites = [
            stack.enter_context(_site(PLAN, idempotency, url))
            for idempotency, url in (("read", None), ("header", own_postgres_url))
        ]
        yield dict(zip(ENGINES, (_night(PLAN, site) for site in sites), strict=True))


@contextmanager
def _site(plan: Plan, idempotency: str, database_url: str | None) -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="coachsync-night-") as name, ExitStack() as stack:
        folder = Path(name)
        valkey = ValkeyServer(folder)
        stack.callback(valkey.stop)
        url = database_url or f"sqlite:///{folder / 'coachsync.db'}"
        config = Config(url, rate_limit=f"{plan.rate}/second", idempotency=idempotency)
        yield stack.enter_context(installed(config, folder, valkey))


def _night(plan: Plan, site: Installation) -> Story:
    """Its fleet ends with it, so that the next one has the machine to itself."""
    site.start_all()
    try:
        return live_through(site, plan)
    finally:
        site.stop_all()


@pytest.fixture(params=ENGINES)
def story(request: pytest.FixtureRequest, stories: Stories) -> Story:
    return stories[request.param]


def test_every_row_is_accounted_for(story: Story) -> None:
    night, correction = story.batches
    for batch, file in zip(story.batches, story.files, strict=True):
        assert batch.rows == len(file.rows) == batch.accepted + batch.rejected
        assert batch.rejected == file.invalid
        assert batch.accepted == batch.succeeded + batch.failed + batch.superseded + batch.cancelled
        assert batch.completed_at
    counted = {state: getattr(night, state) + getattr(correction, state) for state in JobState if state.final}
    assert {state: count for state, count in counted.items() if count} == story.states


def test_no_job_gives_up(story: Story) -> None:
    """Two faults in a hundred are no reason."""
    assert story.states.get(JobState.FAILED, 0) == 0


def test_each_target_ends_at_its_newest_wish(story: Story) -> None:
    written = {effect.name: effect.value for effect in story.effects}
    assert written == story.wanted


def test_no_wish_has_a_second_effect(story: Story) -> None:
    assert all(effect.key for effect in story.effects)
    twice = {key: count for key, count in Counter(effect.key for effect in story.effects).items() if count > 1}
    assert not twice


def test_an_older_wish_never_comes_after_a_newer_one(story: Story) -> None:
    """Not even for a moment: each target's values come in the order of their wishes."""
    for name, values in story.values_by_target().items():
        order = story.wishes_for(name)
        places = [order.index(value) for value in values]
        assert places == sorted(places), f"{name}: {values} of {order}"


def test_the_limit_is_kept_in_every_second(story: Story) -> None:
    assert story.most_in_a_second <= story.plan.rate
    assert not [one for one in story.arrivals if one.status == 429 and not one.fault], "the remote says so too"


def test_the_limit_is_used_while_work_waits(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n  {story.figures}")  # noqa: T201 - what the closing note quotes
    assert story.use.seconds > 3
    assert story.use.share >= story.plan.use


def test_nobody_sends_in_a_cooldown(story: Story) -> None:
    assert not [one for one in story.arrivals if one.in_cooldown]


def test_every_kind_of_fault_has_struck(story: Story) -> None:
    struck = {one.fault for one in story.arrivals if one.fault}
    assert struck == {fault["kind"] for fault in KINDS}
