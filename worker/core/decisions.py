"""Pure: what one outcome means for its job. Total over outcomes; the store writes what is decided here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, assert_never

from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Mismatched,
    Missing,
    NotSent,
    Outcome,
    Refused,
    Throttled,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from schemas.coaching import Quota, Target
from worker.core.backoff import full_jitter

MOST_FAILURES = 10
MOST_FORBIDDEN = 3
MOST_CRASHES = 5
ALONE_AFTER = 2  # crashes: one is mostly a deploy or a machine that went, and took dozens of innocents along
CHANGED_ELSEWHERE = "changed_elsewhere"  # the code of a job that gives way to somebody's later change
EXISTS = "exists"  # the code of a creation that found its target there, with another value
INTERNAL_ERROR = 500
FORBIDDEN = 403
AMBIGUOUS_PAUSE = timedelta(seconds=2)  # a write we gave up on may still be at work at the remote
THROTTLED_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Succeed:
    """``result`` in one word; ``known`` what the remote now holds, None where it was not asked."""

    result: str
    known: Target | Quota | None


@dataclass(frozen=True, slots=True)
class Fail:
    """``known`` what the remote now holds; ``doubtful``: the last write may have happened, what it holds is unknown."""

    code: str
    message: str
    known: Target | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Wait and try again. ``failure`` counts towards the cap; a wait for permits, throttling or quarantine does not."""

    after: timedelta
    failure: bool
    read_first: bool = False


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Nothing was sent: the job is due again at once, as if it had not been claimed."""


Decision = Succeed | Fail | Retry | GiveBack


@dataclass(frozen=True, slots=True)
class Effort:
    """What a job has cost so far, the present outcome not counted. ``write``: the job is an update, not a question."""

    failures: int
    write: bool
    probing: bool = False


def decide(outcome: Outcome[Any], effort: Effort, uniform: Callable[[], float]) -> Decision:
    """The job's next state after a final call: an update, or a quota's retrieval. A probe's job is not charged."""
    if not effort.probing:
        return _decide(outcome, effort, uniform)
    decision = _decide(outcome, replace(effort, failures=0), uniform)
    return replace(decision, failure=False) if isinstance(decision, Retry) else decision


def _decide(  # noqa: C901, PLR0911 - one arm an outcome
    outcome: Outcome[Any], effort: Effort, uniform: Callable[[], float]
) -> Decision:
    match outcome:
        case Answered(value=value):
            return Succeed("applied" if effort.write else "recalculated", value)
        case Mismatched(value=value, differences=differences):
            return Fail("mismatch", f"the remote did something else: {_told(differences)}", value)
        case Refused(code=code, message=message):
            return Fail(code, message)
        case Missing(message=message):
            return Fail("not_found", message)
        case Unsupported(message=message):
            return Fail("unsupported", message)
        case NotSent():
            return GiveBack()
        case Throttled(retry_after=wait):
            return Retry((wait or THROTTLED_PAUSE) + full_jitter(0, uniform), failure=False)
        case Unauthorized(message=message):
            return _unauthorized(outcome, effort, uniform)
        case Unavailable(retry_after=wait, message=message):
            return _unavailable(outcome, effort, wait, message, uniform)
        case Ambiguous(message=message):
            if effort.failures + 1 >= MOST_FAILURES:
                told = f"gave up after {MOST_FAILURES} failures; the last: {message}"
                return Fail("exhausted", told, doubtful=True)
            pause = AMBIGUOUS_PAUSE + full_jitter(effort.failures, uniform)
            return Retry(pause, failure=True, read_first=True)
        case _:
            assert_never(outcome)


def _unauthorized(outcome: Unauthorized, effort: Effort, uniform: Callable[[], float]) -> Decision:
    forbidden = outcome.exchange.status == FORBIDDEN
    if forbidden and effort.failures + 1 >= MOST_FORBIDDEN:
        return Fail("permission_denied", outcome.message)
    return Retry(full_jitter(0, uniform), failure=forbidden)


def _unavailable(
    outcome: Unavailable, effort: Effort, wait: timedelta | None, message: str, uniform: Callable[[], float]
) -> Decision:
    asked_again_once = outcome.exchange.status == INTERNAL_ERROR and not effort.write  # a look before a write goes on
    at_most = 2 if asked_again_once else MOST_FAILURES
    if effort.failures + 1 >= at_most:
        return Fail("exhausted", f"gave up after {effort.failures + 1} failures; the last: {message}")
    return Retry((wait or timedelta(0)) + full_jitter(effort.failures, uniform), failure=True)


def _told(differences: tuple[tuple[str, str, str], ...]) -> str:
    return "; ".join(f"{field}: asked {asked or 'empty'}, is {found or 'empty'}" for field, asked, found in differences)
