"""`coachsync remotes`: how each remote is doing, and a wait that it asked for by mistake is ended by one command."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis as AsyncRedis

from api_adapter.rate_limit.permits import Permit, Settled, Usage
from api_adapter.rate_limit.policy import History
from api_adapter.rate_limit.shared import SharedLimiter
from schemas.ids import format_job_id
from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.cli_rig import NOBODY, Command
from tests.integration.store_rig import (
    AT_WORK,
    REMOTE,
    anew,
    change,
    job,
    job_ids,
    job_of,
    states,
    take,
    take_one,
    wish,
    write,
)
from tests.services.stores import on_both, on_sqlite
from worker.core.decisions import AMBIGUOUS_PAUSE, Decision, Retry
from worker.remote_access import limiter_of
from worker.store import pauses, quarantine
from worker.store.claims import Claimed
from worker.store.engine import Database, database_now
from worker.store.records import Record, Tried

pytestmark = on_sqlite

HOUR = timedelta(hours=1)
MISTAKEN = 20 * HOUR
FOREIGN = Permit("default", Lane.BULK, "1-1-1", 0.0)


@pytest.fixture
def coachsync(coachsync: Command, valkey: str) -> Command:
    return Command({**coachsync.environ, "COACHSYNC_BROKER_URL": valkey})


@pytest.fixture
def without_broker(coachsync: Command) -> Command:
    return Command({**coachsync.environ, "COACHSYNC_BROKER_URL": NOBODY})


def answered(claimed: Claimed, outcome: str, decision: Decision, wait: timedelta | None = None) -> Record:
    call = Tried("update_target", AT_WORK.started_at, 3.0, 429, outcome, None, "r", wait)
    return Record(claimed, decision, (anew(call),))


def throttle(store: Database, *ids: int, wait: timedelta = MISTAKEN) -> None:
    """The remote has answered these with a ``Retry-After``: a pause of every lane comes with it."""
    write(store, *(answered(one, "throttled", Retry(wait, failure=False), wait) for one in take(store, *ids)))


async def _on_limiter(url: str, *settled: Settled) -> Usage:
    async def nothing_sent() -> History:
        return History({timedelta(seconds=1): 0})

    async with AsyncRedis.from_url(url) as redis:
        limiter: SharedLimiter = limiter_of(REMOTE, redis, nothing_sent)
        await limiter.exchange(Lane.BULK, 0, settled)
        return await limiter.usage()


def cool_down(url: str, wait: timedelta = MISTAKEN) -> None:
    asyncio.run(_on_limiter(url, Settled(FOREIGN, throttled=True, retry_after=wait)))


def cooldown(url: str) -> timedelta:
    return asyncio.run(_on_limiter(url)).cooldown


def put_aside(store: Database, remote: str = "default") -> None:
    with store.write() as session:
        quarantine.put_aside(session, remote, "not let in")


def pause(store: Database, remote: str = "default", lane: Lane | None = None) -> None:
    with store.write() as session:
        pauses.pause(session, remote, lane, MISTAKEN)


def paused(store: Database) -> set[tuple[str, str]]:
    with store.read() as session:
        return {(one.remote, one.lane) for one in pauses.standing(session)}


def due(store: Database, *ids: int) -> list[bool]:
    with store.read() as session:
        now = database_now(session)
    return [job(store, one).due_at <= now for one in ids]


def only(said: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(said[name] for name in names)


@on_both
def test_a_line_a_remote_says_how_it_is_doing_why_and_since_when_and_what_waits(
    store: Database, coachsync: Command, valkey: str, tmp_path: Path
) -> None:
    (tmp_path / "coachsync.toml").write_text(
        '[remotes.emea]\ncustomers = ["emea"]\napi_url = "http://127.0.0.1:2"\nrate_limit = "5/second, 9/minute"\n'
    )
    first, _, third = job_ids(store, wish(1), wish(2), wish(3))
    change(store, [third], remote="emea")
    throttle(store, first)
    pause(store, "emea", Lane.BULK)
    put_aside(store, "gone")
    cool_down(valkey)

    emea, default, gone = coachsync.json("remotes", "list")

    assert only(emea, "remote", "state", "since", "why", "waiting", "cooldownSeconds") == (
        "emea", "ok", None, None, 1, 0,
    )  # fmt: skip
    assert [(one["limit"], one["windowSeconds"], one["used"]) for one in emea["limits"]] == [(5, 1, 5), (9, 60, 9)]
    assert [one["lane"] for one in emea["pauses"]] == ["bulk"]
    assert only(default, "remote", "state", "why", "waiting") == ("default", "left alone", "it asked for it", 2)
    (asked,) = default["pauses"]
    assert asked["lane"] == "every"
    assert 19.9 * 3600 < asked["secondsLeft"] <= 20 * 3600
    assert 19.9 * 3600 < default["cooldownSeconds"] <= 20 * 3600
    assert only(gone, "remote", "named", "state", "why", "waiting") == (
        "gone", False, "in quarantine", "not let in", 0,
    )  # fmt: skip
    assert gone["quarantine"]["probes"] == 0
    assert gone["quarantine"]["nextProbeAt"] > gone["since"] == gone["quarantine"]["since"]

    lines = coachsync("remotes", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["remote", "emea", "default", "gone"]
    assert "5 of 5 a second, 9 of 9 a minute" in lines[1]
    assert "the bulk lane for 19 h 59 min" in lines[1]
    assert "every lane for 19 h 59 min" in lines[2]
    assert "the settings do not name it" in lines[3]


def test_they_are_listed_while_the_broker_is_away_and_with_nothing_in_the_store(without_broker: Command) -> None:
    said = without_broker("remotes", "list")
    assert said.out.splitlines()[1].split() == ["default", "ok", "-", "-", "-", "-", "-", "0", "-", "-"]
    assert said.err.startswith("the broker cannot be reached, so no limit is known: ")
    assert said.err.count("\n") == 1
    (default,) = without_broker.json("remotes", "list")
    assert only(default, "limits", "inFlight", "maxInFlight", "cooldownSeconds") == ([], None, 32, None)


@on_both
def test_a_mistaken_wait_is_ended_everywhere_by_one_command(store: Database, coachsync: Command, valkey: str) -> None:
    ids = job_ids(store, *(wish(number) for number in range(3)))
    throttle(store, *ids)
    pause(store, lane=Lane.BULK)
    put_aside(store)
    cool_down(valkey)

    said = coachsync.json("remotes", "release", "default")

    assert only(said, "remote", "jobsMadeDue", "dryRun") == ("default", 3, False)
    assert said["quarantine"]["reason"] == "not let in"
    assert [one["lane"] for one in said["pauses"]] == ["bulk", "every"]
    assert 19.9 * 3600 < said["cooldownSeconds"] <= 20 * 3600
    assert cooldown(valkey) == timedelta(0)
    assert paused(store) == set()
    assert due(store, *ids) == [True, True, True]
    assert all(job(store, one).published_until for one in ids), "they are with the broker at once"
    (default,) = coachsync.json("remotes", "list")
    assert only(default, "state", "quarantine", "pauses", "cooldownSeconds") == ("ok", None, [], 0)


def test_people_are_told_what_was_ended(store: Database, coachsync: Command, valkey: str) -> None:
    throttle(store, job_of(store, wish(1)))
    put_aside(store)
    cool_down(valkey)
    lines = coachsync("remotes", "release", "default").out.splitlines()
    assert lines[0] == "Ended for default:"
    assert lines[1].startswith("  the quarantine since ")
    assert lines[2:] == [
        "  the pause of every lane, 19 h 59 min before its time",
        "  the limiter's cooldown, 19 h 59 min before its time",
        "  the wait of 1 job for the time that it had named",
    ]


@on_both
def test_only_what_waits_for_the_remotes_word_alone_is_made_due(store: Database, coachsync: Command) -> None:
    """The rest has its own reason: a doubt, a backoff, a quiet time, another remote."""
    throttled, asked, doubtful, backoff, untried, other, running = job_ids(store, *(wish(n) for n in range(7)))
    throttle(store, throttled)
    said_so = Retry(MISTAKEN, failure=True)
    write(store, answered(take_one(store, asked), "unavailable", said_so, MISTAKEN))
    write(store, answered(take_one(store, backoff), "unavailable", Retry(timedelta(minutes=4), failure=True)))
    write(
        store,
        answered(take_one(store, doubtful), "ambiguous", Retry(timedelta(minutes=4), failure=True, read_first=True)),
    )
    throttle(store, other)
    take_one(store, running)
    with store.read() as session:
        later = database_now(session) + HOUR
    change(store, [doubtful, untried], due_at=later)
    change(store, [other], remote="emea")

    assert coachsync.json("remotes", "release", "default")["jobsMadeDue"] == 2

    assert due(store, throttled, asked, doubtful, backoff, untried, other) == [True, True, False, False, False, False]
    assert states(store, [running]) == [JobState.RUNNING]


@on_both
def test_a_doubt_outlasts_the_throttling_that_came_after_it_by_its_own_pause_alone(
    store: Database, coachsync: Command
) -> None:
    """A worker had died with it; then the remote asked for a day, and a person knew better."""
    (one,) = job_ids(store, wish(1))
    throttle(store, one)
    change(store, [one], read_first=True)
    with store.read() as session:
        before = database_now(session)
    assert coachsync.json("remotes", "release", "default")["jobsMadeDue"] == 1
    with store.read() as session:
        released = database_now(session)
    assert before + AMBIGUOUS_PAUSE < job(store, one).due_at <= released + AMBIGUOUS_PAUSE
    assert coachsync.json("remotes", "release", "default")["jobsMadeDue"] == 0, "and is kept back no second time"


@on_both
def test_a_dry_run_says_the_same_and_changes_nothing(store: Database, coachsync: Command, valkey: str) -> None:
    one = job_of(store, wish(1))
    throttle(store, one)
    put_aside(store)
    cool_down(valkey)

    would = coachsync.json("remotes", "release", "default", "--dry-run")
    assert coachsync("remotes", "release", "default", "--dry-run").out.endswith("\nNothing was changed.\n")

    assert cooldown(valkey) > timedelta(0)
    assert paused(store) == {("default", "every")}
    assert due(store, one) == [False]
    did = coachsync.json("remotes", "release", "default")
    assert only(would, "quarantine", "jobsMadeDue") == only(did, "quarantine", "jobsMadeDue")
    assert [each["until"] for each in would["pauses"]] == [each["until"] for each in did["pauses"]]
    assert (would["dryRun"], did["dryRun"]) == (True, False)


def test_where_there_is_nothing_to_end_it_says_so(coachsync: Command) -> None:
    said = coachsync("remotes", "release", "default")
    assert said.out == ("There is nothing to end for default: it is not in quarantine, and nobody leaves it alone.\n")
    assert only(coachsync.json("remotes", "release", "default"), "quarantine", "pauses", "jobsMadeDue") == (None, [], 0)


def test_an_unknown_name_is_refused_with_those_that_are_known(store: Database, coachsync: Command) -> None:
    pause(store, "gone")
    said = coachsync("remotes", "release", "defualt", code=2)
    assert said.err == "error: NAME: there is no remote 'defualt'; known are: default, gone\n"


def test_a_remote_that_the_settings_name_no_more_is_released_too(store: Database, coachsync: Command) -> None:
    pause(store, "gone")
    put_aside(store, "gone")
    assert coachsync.json("remotes", "release", "gone")["quarantine"]["reason"] == "not let in"
    assert paused(store) == set()


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)], ids=["in earnest", "dry run"])
def test_while_the_broker_is_away_it_says_so_in_one_line_and_changes_nothing(
    store: Database, without_broker: Command, dry_run: tuple[str, ...]
) -> None:
    throttle(store, job_of(store, wish(1)))
    said = without_broker("remotes", "release", "default", *dry_run, code=1)
    assert said.out == ""
    assert said.err.startswith("error: the broker cannot be reached: ")
    assert said.err.endswith("; nothing was changed\n")
    assert said.err.count("\n") == 1
    assert paused(store) == {("default", "every")}


@on_both
def test_status_shows_what_leaves_a_remote_alone_and_how_to_end_it(store: Database, without_broker: Command) -> None:
    throttle(store, job_of(store, wish(1)))
    pause(store, lane=Lane.BULK)
    (remote,) = without_broker.json("status")["remotes"]
    assert [one["lane"] for one in remote["pauses"]] == ["bulk", "every"]
    told = without_broker("status").out
    assert "\nthe bulk lane of default is left alone until " in told
    assert "for another 19 h 59 min, as it asked (coachsync remotes release default ends that)\n" in told


@on_both
def test_explain_says_that_a_job_waits_for_a_pause_of_its_lane(store: Database, without_broker: Command) -> None:
    bulk, urgent = job_of(store, wish(1)), job_of(store, wish(2), lane=Lane.INTERACTIVE)
    pause(store, lane=Lane.BULK)
    waiting = without_broker.json("explain", format_job_id(bulk))["waiting"]
    assert waiting["why"].startswith("the bulk lane of default is left alone until ")
    assert waiting["why"].endswith("for another 19 h 59 min: its limit is used up")
    assert only(waiting["pause"], "lane") == ("bulk",)
    assert without_broker.json("explain", format_job_id(urgent))["waiting"]["pause"] is None

    pause(store)
    assert without_broker.json("explain", format_job_id(urgent))["waiting"]["pause"]["lane"] == "every"
    put_aside(store)
    told = without_broker("explain", format_job_id(urgent)).out
    assert "is in quarantine since " in told
    assert "(coachsync remotes release default ends that)" in " ".join(told.split())
