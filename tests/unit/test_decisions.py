"""What each outcome means for its job."""

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
from schemas.coaching import Quota, Target
from worker.core.decisions import (
    AMBIGUOUS_PAUSE,
    MOST_FAILURES,
    MOST_FORBIDDEN,
    THROTTLED_PAUSE,
    Decision,
    Effort,
    Fail,
    GiveBack,
    Retry,
    Succeed,
    decide,
)

TARGET = Target(name="customers/a/profiles/b/targets/t", target=50)
SECOND = timedelta(seconds=1)
FRESH = Effort(0, write=True)
WORN = Effort(MOST_FAILURES - 1, write=True)


def seen(status: int | None) -> Exchange:
    return Exchange(Operation.UPDATE_TARGET, "r-1", status, timedelta(0))


def at_once() -> float:
    """No jitter."""
    return 0.0


ELSE = "the remote did something else"
EXHAUSTED = "gave up after 10 failures; the last: why"


@pytest.mark.parametrize(
    ("outcome", "effort", "decision"),
    [
        (Answered(seen(200), TARGET), FRESH, Succeed("applied", TARGET)),
        (Answered(seen(200), Quota()), Effort(0, write=False), Succeed("recalculated", Quota())),
        (
            Mismatched(seen(200), TARGET, (("target", "5", "50"), ("coachingPlanName", "", "p"))),
            FRESH,
            Fail(
                "mismatch",
                "the remote did something else: target: asked 5, is 50; coachingPlanName: asked empty, is p",
                TARGET,
            ),
        ),
        (Refused(seen(400), "INVALID_ARGUMENT", "no"), FRESH, Fail("INVALID_ARGUMENT", "no")),
        (Missing(seen(404), "gone"), FRESH, Fail("not_found", "gone")),
        (Unsupported(seen(501), "never"), FRESH, Fail("unsupported", "never")),
        (NotSent(seen(None)), FRESH, GiveBack()),
        (NotSent(seen(None)), WORN, GiveBack()),
        (Throttled(seen(429), None, "slow"), WORN, Retry(THROTTLED_PAUSE, failure=False)),
        (Throttled(seen(429), 7 * SECOND, "slow"), FRESH, Retry(7 * SECOND, failure=False)),
        (Unauthorized(seen(401), "who?"), WORN, Retry(timedelta(0), failure=False)),
        (Unauthorized(seen(403), "no"), FRESH, Retry(timedelta(0), failure=True)),
        (Unauthorized(seen(403), "no"), Effort(MOST_FORBIDDEN - 1, write=True), Fail("permission_denied", "no")),
        (Unavailable(seen(503), None, "why"), FRESH, Retry(timedelta(0), failure=True)),
        (Unavailable(seen(503), 9 * SECOND, "why"), FRESH, Retry(9 * SECOND, failure=True)),
        (Unavailable(seen(503), None, "why"), WORN, Fail("exhausted", EXHAUSTED)),
        (Unavailable(seen(500), None, "why"), FRESH, Retry(timedelta(0), failure=True)),
        (
            Unavailable(seen(500), None, "why"),
            Effort(1, write=False),
            Fail("exhausted", "gave up after 2 failures; the last: why"),
        ),
        (Unavailable(seen(500), None, "why"), Effort(1, write=True), Retry(timedelta(0), failure=True)),
        (Ambiguous(seen(502), "why"), FRESH, Retry(AMBIGUOUS_PAUSE, failure=True, read_first=True)),
        (Ambiguous(seen(None), "why"), WORN, Fail("exhausted", EXHAUSTED, doubtful=True)),
    ],
)
def test_an_outcome_has_one_meaning(outcome: Outcome[Any], effort: Effort, decision: Decision) -> None:
    assert decide(outcome, effort, at_once) == decision


@pytest.mark.parametrize("outcome", [Unavailable(seen(503), None, "why"), Ambiguous(seen(None), "why")])
def test_waits_grow_with_the_failures(outcome: Outcome[Any]) -> None:
    waits = [decide(outcome, Effort(failures, write=True), lambda: 0.5) for failures in range(MOST_FAILURES - 1)]
    assert all(isinstance(wait, Retry) for wait in waits)
    after = [wait.after for wait in waits if isinstance(wait, Retry)]
    assert after == sorted(after)
    assert after[-1] > 10 * after[0]
