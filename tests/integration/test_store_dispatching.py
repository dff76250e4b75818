"""What goes to the broker: a window of due rows, oldest first, each once until nobody took it."""

from datetime import UTC, datetime, timedelta

from schemas.lanes import Lane
from tests.integration.store_rig import (
    change,
    given_back,
    job,
    job_ids,
    job_of,
    take,
    take_one,
    wish,
    write,
)
from worker.core.decisions import ALONE_AFTER
from worker.store.dispatching import (
    PUBLISHED_FOR,
    Due,
    something_due,
    take_due,
    take_probe,
    unpublish,
    unpublish_all,
)
from worker.store.engine import Database

NOW = datetime.now(UTC)  # noqa: TID251 - what rows say is compared with the database's clock
MINUTE = timedelta(minutes=1)


def due(store: Database, window: int = 10, lane: Lane = Lane.BULK, remote: str = "default") -> Due:
    with store.write() as session:
        return take_due(session, remote, lane, window)


def is_due(store: Database) -> bool:
    with store.read() as session:
        return something_due(session)


def test_due_rows_go_out_once_oldest_first_and_no_more_than_the_window(store: Database) -> None:
    assert not is_due(store)
    ids = job_ids(store, *(wish(target) for target in range(5)))
    change(store, ids[3:4], due_at=NOW - MINUTE)
    assert is_due(store)
    assert due(store, window=2).together == [ids[0], ids[3]]
    assert due(store, window=2).together == []
    assert due(store, window=4).together == [ids[1], ids[2]]
    take(store, *ids[:2])
    assert due(store, window=4).together == [ids[4]]
    assert due(store, window=0) == Due([], [])
    assert not is_due(store)


def test_a_window_that_is_nearly_full_waits_for_room_that_is_worth_a_message(store: Database) -> None:
    ids = job_ids(store, *(wish(target) for target in range(9)))

    def brought() -> list[int]:
        with store.write() as session:
            return take_due(session, "default", Lane.BULK, window=6, least=3).together

    assert brought() == ids[:6]
    take(store, *ids[:2])
    assert brought() == []
    take(store, ids[2])
    assert brought() == ids[6:]


def test_a_lane_and_a_remote_have_windows_of_their_own(store: Database) -> None:
    urgent = job_of(store, wish(1), lane=Lane.INTERACTIVE)
    bulk, elsewhere = job_ids(store, wish(2), wish(3))
    change(store, [elsewhere], remote="other")
    assert due(store, window=1).together == [bulk]
    assert due(store, window=1, lane=Lane.INTERACTIVE).together == [urgent]
    assert due(store, window=1, remote="other").together == [elsewhere]


def test_a_row_that_is_not_yet_due_stays(store: Database) -> None:
    change(store, job_ids(store, wish(1)), due_at=NOW + 60 * MINUTE)
    assert not is_due(store)
    assert due(store) == Due([], [])


def test_a_message_that_nobody_took_goes_again(store: Database) -> None:
    one = job_of(store, wish(1))
    due(store)
    published_until = job(store, one).published_until
    assert published_until
    assert published_until > NOW + PUBLISHED_FOR / 2
    change(store, [one], published_until=NOW - MINUTE)
    assert is_due(store)
    assert due(store).together == [one]


def test_what_was_not_sent_or_was_lost_with_the_broker_goes_again_at_once(store: Database) -> None:
    ids = job_ids(store, *(wish(target) for target in range(4)))
    due(store)
    with store.write() as session:
        unpublish(session, ids[:1])
    assert due(store).together == ids[:1]
    take(store, ids[3])
    with store.write() as session:
        assert unpublish_all(session) == 3
    assert due(store).together == ids[:3]


def test_a_job_that_was_given_back_goes_again_at_once(store: Database) -> None:
    one = job_of(store, wish(1))
    due(store)
    write(store, given_back(take_one(store, one)))
    assert due(store).together == [one]


def test_a_job_that_lost_two_workers_travels_alone(store: Database) -> None:
    lost, once, other = job_ids(store, wish(1), wish(2), wish(3))
    change(store, [lost], crashes=ALONE_AFTER)
    change(store, [once], crashes=ALONE_AFTER - 1)
    assert due(store) == Due(together=[once, other], alone=[lost])


def test_the_probe_is_the_job_that_waits_longest_due_or_not(store: Database) -> None:
    later, sooner = job_ids(store, wish(1), wish(2))
    change(store, [later], due_at=NOW + 70 * MINUTE)
    change(store, [sooner], failures=2, due_at=NOW + 60 * MINUTE)
    with store.write() as session:
        assert take_probe(session, "default") == Due([sooner], [])
        assert take_probe(session, "other") == Due([], [])
    assert take_one(store, sooner).id == sooner


def test_a_probe_does_not_cut_short_the_wait_after_a_doubtful_write(store: Database) -> None:
    doubtful, plain = job_ids(store, wish(1), wish(2))
    change(store, [doubtful], read_first=True, due_at=NOW + 60 * MINUTE)
    change(store, [plain], due_at=NOW + 70 * MINUTE)
    with store.write() as session:
        assert take_probe(session, "default") == Due([plain], [])
