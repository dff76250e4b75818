"""Whatever the outcome, there is a decision; whatever the waits, a job that fails and fails ends."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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
from api_adapter.retry_after import LONGEST_WAIT
from schemas.coaching import Target
from worker.core.backoff import MOST
from worker.core.decisions import MOST_FAILURES, Effort, Fail, GiveBack, Retry, Succeed, decide

TARGET = Target(name="customers/a/profiles/b/targets/t", target=50)
EXCHANGES = st.builds(
    Exchange,
    operation=st.sampled_from(Operation),
    request_id=st.just("r-1"),
    status=st.none() | st.integers(100, 999),
    latency=st.just(timedelta(0)),
)
WAITS = st.none() | st.timedeltas(timedelta(0), LONGEST_WAIT)
WORDS = st.text(max_size=20)
TROUBLE: st.SearchStrategy[Outcome[Target]] = st.one_of(
    st.builds(Unauthorized, EXCHANGES, WORDS, renewed=st.booleans()),
    st.builds(Throttled, EXCHANGES, WAITS, WORDS),
    st.builds(Unavailable, EXCHANGES, WAITS, WORDS),
    st.builds(Ambiguous, EXCHANGES, WORDS),
)
OUTCOMES: st.SearchStrategy[Outcome[Target]] = TROUBLE | st.one_of(
    st.builds(Answered, EXCHANGES, st.just(TARGET)),
    st.builds(Mismatched, EXCHANGES, st.just(TARGET), st.just((("target", "1", ""),))),
    st.builds(Refused, EXCHANGES, WORDS, WORDS),
    st.builds(Missing, EXCHANGES, WORDS),
    st.builds(Unsupported, EXCHANGES, WORDS),
    st.builds(NotSent, EXCHANGES),
)
UNIFORM = st.floats(0, 1, exclude_max=True)


@given(OUTCOMES, st.integers(0, 10**6), st.booleans(), UNIFORM)
def test_every_outcome_has_a_decision_and_every_wait_an_end(
    outcome: Outcome[Any], failures: int, write: bool, drawn: float  # noqa: FBT001 - hypothesis draws it
) -> None:  # fmt: skip
    decision = decide(outcome, Effort(failures, write=write), lambda: drawn)
    assert isinstance(decision, Succeed | Fail | Retry | GiveBack)
    if isinstance(decision, Retry):
        assert timedelta(0) <= decision.after <= LONGEST_WAIT + MOST


@given(st.lists(TROUBLE, min_size=MOST_FAILURES, max_size=MOST_FAILURES), UNIFORM)
def test_a_job_that_only_fails_ends_within_its_failures(outcomes: list[Outcome[Any]], drawn: float) -> None:
    """Throttling and a refused token are waits, not failures: the remote is slowed down or put aside for them."""
    failures = 0
    for outcome in outcomes * 2:
        decision = decide(outcome, Effort(failures, write=True), lambda: drawn)
        if not isinstance(decision, Retry):
            assert isinstance(decision, Fail)
            break
        failures += decision.failure
    assert failures < MOST_FAILURES


@given(st.builds(Ambiguous, EXCHANGES, WORDS), st.integers(0, 20), UNIFORM)
def test_a_write_in_doubt_is_never_sent_again_unread_nor_forgotten(
    outcome: Outcome[Any], failures: int, drawn: float
) -> None:
    match decide(outcome, Effort(failures, write=True), lambda: drawn):
        case Retry(read_first=read_first):
            assert read_first
        case decision:
            assert decision == Fail("exhausted", decision.message, doubtful=True)  # type: ignore[union-attr]  # it fails or raises
