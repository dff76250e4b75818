"""The state of the whole in one line: what needs a person comes first, and well is said only where all is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.core.verdict import EndpointState, RemoteState, Situation, judge

SINCE = datetime(2026, 1, 31, 8, 0, 0, 5, tzinfo=UTC)
NO_TIME = timedelta(0)


def remote(
    name: str = "default",
    *,
    named: bool = True,
    waiting: int = 0,
    aside: datetime | None = None,
    cooldown: timedelta = NO_TIME,
) -> RemoteState:
    return RemoteState(name, named, waiting, aside, cooldown)


def seen(*remotes: RemoteState, broker: bool = True, workers: int = 1, loops: int = 1, **more: Any) -> Situation:
    return Situation(broker, workers, loops, remotes, **more)


NO_WORKER = "no worker seen: start one with `coachsync worker`"
NO_LOOPS = "no loops seen: start them with `coachsync loops`"
NO_BROKER = "the broker cannot be reached: nothing is sent until it is back, and nothing accepted is lost"
ASIDE = remote(aside=SINCE)
OTHERS = "with other settings of the remotes than this shell has: set the same in both places, and start them anew"


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (seen(remote(), workers=2), "all well: 1 remote ok, 2 workers"),
        (seen(remote(), processes=2), "all well: 1 remote ok, 1 worker (2 processes)"),
        (seen(remote(), workers=3, processes=1200), "all well: 1 remote ok, 3 workers (1,200 processes)"),
        (
            seen(remote(), remote("emea", cooldown=timedelta(seconds=30))),
            "all well: 2 remotes ok, 1 worker; emea is left alone for 30 s, as it asked",
        ),
        (seen(remote(), remote("gone", named=False)), "all well: 1 remote ok, 1 worker"),
        (
            seen(remote("a"), remote("b"), remote("c"), remote("d", aside=SINCE)),
            "3 remotes ok, 1 in quarantine: d since 2026-01-31T08:00:00Z",
        ),
        (seen(remote(), endpoints=[EndpointState("ep_1", due=3)], deliverers=1), "all well: 1 remote ok, 1 worker"),
        (
            seen(remote(), endpoints=[EndpointState("ep_1", due=3)]),
            "nobody seen who sends webhooks, and 3 messages wait: start `coachsync webhooks deliver`",
        ),
        (
            seen(remote(), endpoints=[EndpointState("ep_1", 0, "it answered 410 Gone")]),
            "the endpoint ep_1 is disabled: it answered 410 Gone",
        ),
        (
            seen(remote(), endpoints=[EndpointState("ep_1", 0, failing_since=SINCE)]),
            "the endpoint ep_1 fails since 2026-01-31T08:00:00Z",
        ),
        (seen(remote(), workers=0), NO_WORKER),
        (seen(remote(), loops=0), NO_LOOPS),
        (
            seen(remote(waiting=2), remote("emea", waiting=1), loops=0, silent_for=timedelta(minutes=3)),
            "no loops seen for 3 min 00 s, and 3 jobs wait: start them with `coachsync loops`",
        ),
        (seen(remote(waiting=1), loops=0), "no loops seen, and 1 job waits: start them with `coachsync loops`"),
        (seen(remote(), broker=False, workers=0), NO_BROKER),
        (
            seen(remote(), strangers=("loops here:1",)),
            f"loops here:1 runs {OTHERS} (`coachsync config` shows what is in force here)",
        ),
        (seen(), "no remote is configured: set COACHSYNC_API_URL"),
        (
            seen(remote(), remote("gone", named=False, waiting=1200)),
            "1,200 jobs wait for the remote gone, which the settings do not name",
        ),
        (
            seen(ASIDE, workers=0, loops=0),
            f"{NO_WORKER}; {NO_LOOPS}; 0 remotes ok, 1 in quarantine: default since 2026-01-31T08:00:00Z",
        ),
    ],
)
def test_the_verdict_names_every_trouble_and_its_remedy_and_says_well_only_without_any(
    situation: Situation, words: str
) -> None:
    verdict = judge(situation)
    assert verdict.words == words
    assert verdict.well == words.startswith("all well")
