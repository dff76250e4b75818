"""When a whole remote is put aside, and how often it is probed."""

from datetime import timedelta
from typing import Any

import pytest

from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Exchange,
    Mismatched,
    Missing,
    NotSent,
    Operation,
    Outcome,
    Refused,
    Throttled,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from worker.core.quarantine import RUN_OF_FAILURES, SLOWEST_PROBE, Trip, Watch, probe_pause


def seen(status: int | None) -> Exchange:
    return Exchange(Operation.UPDATE_TARGET, "r-1", status, timedelta(0))


DOWN = Unavailable(seen(503), None, "down")
SILENT = Ambiguous(seen(None), "silent")
FORBIDDEN = Unauthorized(seen(403), "not yours")
SIGNS_OF_LIFE: list[Outcome[Any]] = [
    Answered(seen(200), 1),
    Mismatched(seen(200), 1, ()),
    Refused(seen(400), "no", "no"),
    Missing(seen(404), "gone"),
    Unsupported(seen(501), "never"),
    Throttled(seen(429), None, "slow"),
]


@pytest.mark.parametrize("failure", [DOWN, SILENT, FORBIDDEN])
def test_a_run_of_failures_puts_the_remote_aside_and_a_shorter_one_does_not(
    failure: Unavailable | Ambiguous | Unauthorized,
) -> None:
    watch = Watch()
    assert watch.observe([failure] * (RUN_OF_FAILURES - 1)) is None
    trip = watch.observe([failure])
    assert trip
    assert trip.reason == f"10 failures in a run; the last: {failure.message}"


@pytest.mark.parametrize("alive", SIGNS_OF_LIFE)
def test_any_answer_ends_the_run(alive: Outcome[Any]) -> None:
    watch = Watch()
    assert watch.observe([*[DOWN] * (RUN_OF_FAILURES - 1), alive, *[DOWN] * (RUN_OF_FAILURES - 1)]) is None
    assert watch.observe([*[DOWN] * RUN_OF_FAILURES, alive]) is None


def test_what_was_not_sent_says_nothing() -> None:
    watch = Watch()
    assert watch.observe([*[DOWN] * (RUN_OF_FAILURES - 1), NotSent(seen(None))]) is None
    assert watch.observe([NotSent(seen(None)), DOWN]) is not None


@pytest.mark.parametrize("status", [401, 407, None])
def test_a_credential_that_is_not_let_in_puts_the_remote_aside_at_once(status: int | None) -> None:
    assert Watch().observe([Unauthorized(seen(status), "who?")]) == Trip("not let in: who?")


def test_a_credential_that_was_just_renewed_gets_its_chance() -> None:
    assert Watch().observe([Unauthorized(seen(401), "expired", renewed=True)]) is None


def test_one_forbidden_target_does_not_stop_the_others() -> None:
    assert Watch().observe([FORBIDDEN, Answered(seen(200), 1)] * RUN_OF_FAILURES) is None


@pytest.mark.parametrize("failure", [DOWN, SILENT, FORBIDDEN])
def test_one_failed_probe_is_enough(failure: Outcome[Any]) -> None:
    assert Watch().observe([failure], probing=True) is not None


def test_probes_come_after_1_s_doubling_to_1_min() -> None:
    pauses = [probe_pause(probes).total_seconds() for probes in (0, 1, 2, 3, 4, 5, 6, 7, 1000)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert probe_pause(1000) == SLOWEST_PROBE
