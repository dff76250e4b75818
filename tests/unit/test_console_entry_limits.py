"""Who tries tokens too often waits, each address for itself; and the last look at the fleet is shown while another one
is had."""

import threading
from datetime import UTC, datetime, timedelta

from worker.console.entry import ATTEMPTS, MOST_ADDRESSES, WITHIN, Attempts, csrf_of, digest_of, same
from worker.console.fleet_watch import FRESH_SECONDS, FleetWatch
from worker.fleet import Fleet

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_an_address_waits_for_the_rest_of_its_minute_and_others_do_not() -> None:
    times = [NOON]
    attempts = Attempts(lambda: times[-1])
    for second in range(ATTEMPTS):
        times.append(NOON + timedelta(seconds=second))
        assert not attempts.wait("a")
        attempts.failed("a")
    assert attempts.wait("a") == WITHIN - timedelta(seconds=ATTEMPTS - 1)
    assert not attempts.wait("b")
    times.append(NOON + WITHIN)
    assert not attempts.wait("a")


def test_no_more_addresses_are_remembered_than_it_can_hold() -> None:
    attempts = Attempts(lambda: NOON)
    for number in range(MOST_ADDRESSES + 50):
        attempts.failed(str(number))
    assert len(attempts._failed) == MOST_ADDRESSES


def test_what_a_form_carries_says_nothing_of_the_cookie() -> None:
    assert csrf_of("a") != digest_of("a")
    assert csrf_of("a") != csrf_of("b")
    assert same(csrf_of("a"), csrf_of("a"))
    assert not same("\ud800", csrf_of("a"))


def test_only_the_first_look_is_waited_for() -> None:
    looks: list[Fleet] = []
    may_answer, answered = threading.Event(), threading.Event()
    clock = [0.0]

    def look() -> Fleet:
        if looks:
            may_answer.wait(10)
        looks.append(Fleet(broker_error=f"look {len(looks)}"))
        if len(looks) > 1:
            answered.set()
        return looks[-1]

    watch = FleetWatch(look, lambda: clock[0])
    first = watch.latest()
    clock[0] += FRESH_SECONDS + 1
    assert watch.latest() is first, "the next one is had in the background"
    assert watch.latest() is first, "and once only"
    may_answer.set()
    assert answered.wait(10)
    assert len(looks) == 2
