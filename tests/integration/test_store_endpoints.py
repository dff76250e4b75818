"""Endpoints: who sends to each is one process at a time; what people change; secrets that no file shows."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import event, func, select, update

from schemas.webhooks import SignatureKind
from tests.integration.webhook_rig import (
    LONG_AGO,
    SEALER,
    SECRET,
    attempts_of,
    deliveries_of,
    endpoint,
    happening,
    make_endpoint,
    set_endpoint,
    states,
    tell,
    tell_some,
)
from worker.core.delivery import Reply
from worker.store import endpoints, schema
from worker.store.deliveries import Recorded, Sender, Sent, due, record
from worker.store.endpoints import Owned
from worker.store.engine import Database
from worker.store.outbox import DEAD, DELETED, DELIVERED, DISABLED, ENABLED, PAUSED, PENDING
from worker.store.tables import endpoint_secrets
from worker.telling.webhook_records import endpoint_records

LASTS = timedelta(seconds=30)
NO_TIME = timedelta(0)
DAY = timedelta(days=1)


def take(store: Database, owner: str = "one", lasts: timedelta = LASTS) -> Owned | None:
    with store.write() as session:
        return endpoints.take(session, owner, lasts)


def taken(store: Database, owner: str = "one", lasts: timedelta = LASTS) -> Owned:
    found = take(store, owner, lasts)
    assert found
    return found


def renew(store: Database, owner: str, fences: dict[str, int]) -> list[str]:
    with store.write() as session:
        return [one.endpoint.id for one in endpoints.renew(session, owner, fences, LASTS)]


def release(store: Database, owner: str = "one", after: timedelta = NO_TIME) -> None:
    with store.write() as session:
        endpoints.release(session, owner, ["ep_1"], after)


def lose_lease(store: Database) -> None:
    set_endpoint(store, owner_until=LONG_AGO)


def answer(store: Database, owned: Owned, owner: str, status: int) -> Recorded:
    """The owner has sent all that is due, and records what came of it."""
    with store.read() as session:
        sent = [
            Sent(one, datetime(2026, 1, 1, tzinfo=UTC), 3.0, Reply(status)) for one in due(session, owned.endpoint, 10)
        ]
    with store.write() as session:
        return record(session, owned.endpoint.id, owned.endpoint.fence, sent, Sender(owner, lambda: 0.5))


def test_an_endpoint_with_something_due_is_taken_by_one_process_with_its_secret(store: Database) -> None:
    make_endpoint(store)
    assert take(store) is None, "nothing is due"
    tell_some(store, 1)
    owned = taken(store)
    assert (owned.endpoint.id, owned.endpoint.owner, owned.endpoint.fence) == ("ep_1", "one", 1)
    assert [SEALER.unseal(one.sealed) for one in owned.secrets] == [SECRET]
    assert take(store, "two") is None
    assert take(store, "one") is None, "not even by who has it"


def test_a_fleet_that_looks_at_once_shares_the_endpoints_without_a_double(store: Database) -> None:
    for number in range(6):
        make_endpoint(store, f"ep_{number}")
    tell_some(store, 1)
    start = Barrier(4)

    def grab(process: int) -> list[str]:
        start.wait(timeout=90)
        found = [take(store, f"p{process}") for _ in range(4)]
        return [one.endpoint.id for one in found if one]

    with ThreadPoolExecutor(4) as pool:
        had = Counter(name for names in pool.map(grab, range(4)) for name in names)
    while one := take(store, "last"):  # who met a locked row may have gone away empty-handed
        had[one.endpoint.id] += 1
    assert had == {f"ep_{number}": 1 for number in range(6)}


def test_the_longest_untended_goes_first_and_one_that_was_never_taken_before_all(store: Database) -> None:
    for name, since in (("ep_late", datetime(2020, 1, 2, tzinfo=UTC)), ("ep_new", None), ("ep_early", LONG_AGO)):
        make_endpoint(store, name)
        set_endpoint(store, name, owner=since and "gone", owner_until=since)
    tell_some(store, 1)
    assert [taken(store).endpoint.id for _ in range(3)] == ["ep_new", "ep_early", "ep_late"]


@pytest.mark.parametrize("state", [PAUSED, DISABLED, DELETED])
def test_nobody_takes_an_endpoint_that_is_not_enabled(store: Database, state: str) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    set_endpoint(store, state=state)
    assert take(store) is None


def test_nobody_takes_an_endpoint_before_its_wait_is_over(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    set_endpoint(store, held_until=datetime(2099, 1, 1, tzinfo=UTC))
    assert take(store) is None
    set_endpoint(store, held_until=LONG_AGO)
    assert taken(store).held == NO_TIME


def test_a_lease_that_has_run_out_passes_under_a_higher_fence_and_cannot_be_renewed(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    first = taken(store)
    assert renew(store, "one", {"ep_1": first.endpoint.fence}) == ["ep_1"]
    lose_lease(store)
    second = taken(store, "two")
    assert second.endpoint.fence == first.endpoint.fence + 1
    assert renew(store, "one", {"ep_1": first.endpoint.fence}) == []
    assert endpoint(store).owner == "two"


def test_who_has_taken_an_endpoint_again_cannot_renew_under_the_old_fence(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    first = taken(store)
    lose_lease(store)
    again = taken(store)
    assert renew(store, "one", {"ep_1": first.endpoint.fence}) == []
    assert renew(store, "one", {"ep_1": again.endpoint.fence}) == ["ep_1"]


def test_a_lease_that_has_run_out_and_that_nobody_took_is_renewed(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    fence = taken(store).endpoint.fence
    lose_lease(store)
    assert renew(store, "one", {"ep_1": fence}) == ["ep_1"]
    assert take(store, "two") is None


def test_a_released_endpoint_is_free_only_after_the_pause_that_its_rate_needs(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    taken(store)
    release(store, after=timedelta(seconds=60))
    assert take(store, "two") is None
    release(store, after=-timedelta(seconds=1))
    assert taken(store, "two").endpoint.owner == "two"
    release(store, "one")
    assert take(store, "three") is None, "who has lost it releases nothing"


def test_a_late_record_changes_nothing_but_keeps_its_attempts(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 2)
    late = taken(store)
    lose_lease(store)
    owner = taken(store, "two")
    before = deliveries_of(store), endpoint(store)
    recorded = answer(store, late, "one", 500)
    assert not recorded.ours
    assert (deliveries_of(store), endpoint(store)) == before
    assert [(one.status, one.sender) for one in attempts_of(store)] == [(500, "one")] * 2
    assert answer(store, owner, "two", 204).ours
    assert states(store) == [DELIVERED] * 2


def test_a_paused_endpoint_keeps_what_waits_and_goes_on_when_resumed_as_if_it_had_never_failed(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    set_endpoint(store, failures=12, failing_since=LONG_AGO, warned=70, held_until=datetime(2099, 1, 1, tzinfo=UTC))
    with store.write() as session:
        assert endpoints.pause(session, "ep_1")
        assert not endpoints.pause(session, "ep_1")
    tell_some(store, 1)
    with store.write() as session:
        assert endpoints.resume(session, "ep_1")
        assert not endpoints.resume(session, "ep_1")
    found = endpoint(store)
    assert (found.state, found.failures, found.failing_since, found.warned, found.held_until) == (
        ENABLED, 0, None, 0, None,
    )  # fmt: skip
    assert states(store) == [PENDING] * 2
    assert taken(store)


def test_resuming_a_disabled_endpoint_forgets_the_reason_but_not_that_it_has_yet_to_recover(store: Database) -> None:
    make_endpoint(store)
    set_endpoint(store, state=DISABLED, disabled_at=LONG_AGO, disabled_reason="it answered 410 Gone")
    with store.write() as session:
        assert endpoints.resume(session, "ep_1")
    found = endpoint(store)
    assert (found.state, found.disabled_reason, found.disabled_at) == (ENABLED, None, LONG_AGO)


def test_a_removed_endpoint_is_gone_for_people_its_secrets_are_gone_and_its_deliveries_are_set_aside(
    store: Database,
) -> None:
    make_endpoint(store)
    make_endpoint(store, "ep_2")
    tell_some(store, 2)
    with store.write() as session:
        assert endpoints.remove(session, "ep_1")
        assert not endpoints.remove(session, "ep_1")
        assert endpoints.find(session, "ep_1") is None
        assert [one.id for one in endpoints.list_all(session)] == ["ep_2"]
        assert not endpoints.change(session, "ep_1", {"url": "https://example.com/other"})
        assert not endpoints.resume(session, "ep_1")
        assert not endpoints.secrets_of(session, ["ep_1"])
    assert [(one.state, one.error) for one in deliveries_of(store, "ep_1")] == [(DEAD, "the endpoint was deleted")] * 2
    assert states(store, "ep_2") == [PENDING] * 2


def test_what_is_set_aside_says_why_and_what_the_last_attempt_came_to(store: Database) -> None:
    make_endpoint(store)
    tell_some(store, 1)
    answer(store, taken(store), "one", 500)
    with store.write() as session:
        endpoints.remove(session, "ep_1")
    (one,) = deliveries_of(store)
    assert one.error == "the endpoint was deleted; the last attempt: it answered 500"


def test_a_changed_filter_counts_for_what_happens_from_then_on(store: Database) -> None:
    make_endpoint(store)
    with store.write() as session:
        assert endpoints.change(session, "ep_1", {"types": frozenset({"quota.*"}), "rate_limit": 5})
    tell_some(store, 1)
    assert deliveries_of(store) == []
    assert endpoint(store).rate_limit == 5


def test_what_waits_is_in_order_as_soon_as_the_endpoint_asks_for_order(store: Database) -> None:
    make_endpoint(store)
    tell(store, happening("a"), happening("a"), happening("b"))
    with store.write() as session:
        endpoints.change(session, "ep_1", {"ordered": True})
    first, _, other = deliveries_of(store)
    with store.read() as session:
        assert [one.id for one in due(session, endpoint(store), 10)] == [first.id, other.id]


# Secrets


def rotate(store: Database, secret: str, overlap: timedelta = DAY, kind: SignatureKind = "v1") -> datetime:
    with store.write() as session:
        return endpoints.rotate(session, "ep_1", kind, SEALER.seal(secret), overlap)


def signing(store: Database) -> list[str]:
    with store.read() as session:
        return [SEALER.unseal(one.sealed) for one in endpoints.secrets_of(session, ["ep_1"])]


def all_kept(store: Database) -> int:
    with store.read() as session:
        return int(session.execute(select(func.count()).select_from(endpoint_secrets)).scalar_one())


def test_while_a_secret_is_replaced_both_sign_the_newest_first_and_later_the_new_one_alone(store: Database) -> None:
    make_endpoint(store)
    until = rotate(store, "whsec_two")
    assert signing(store) == ["whsec_two", SECRET]
    assert timedelta(hours=23) < until - endpoint(store).created_at <= DAY + timedelta(minutes=1)
    with store.write() as session:
        session.execute(update(endpoint_secrets).where(endpoint_secrets.c.id == 1).values(retires_at=LONG_AGO))
    assert signing(store) == ["whsec_two"]


def test_a_second_rotation_lengthens_no_overlap_and_shortens_it_where_it_is_told_to(store: Database) -> None:
    make_endpoint(store)
    first = rotate(store, "whsec_two", DAY)
    rotate(store, "whsec_three", 3 * DAY)
    with store.read() as session:
        ends = [one.retires_at for one in endpoints.secrets_of(session, ["ep_1"])]
    assert (ends[0], ends[2]) == (None, first)
    rotate(store, "whsec_four", NO_TIME)
    assert signing(store) == ["whsec_four"]


def test_a_secret_that_has_retired_is_deleted_at_the_next_rotation(store: Database) -> None:
    make_endpoint(store)
    rotate(store, "whsec_two", NO_TIME)
    rotate(store, "whsec_three", NO_TIME)
    rotate(store, "whsec_four", DAY)
    assert signing(store) == ["whsec_four", "whsec_three"]
    assert all_kept(store) == 2


def test_no_secret_is_in_the_database_file_in_the_clear(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'coachsync.db'}")
    schema.upgrade(database)
    make_endpoint(database)
    rotate(database, "whsec_" + "cm90YXRlZA==" * 3)
    tell_some(database, 1)
    answer(database, taken(database), "one", 204)
    with database.write() as session:
        endpoints.remove(session, "ep_1")
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    database.close()
    assert any(b"ep_1" in content for content in files.values())
    for content in files.values():
        for secret in (SECRET, "whsec_" + "cm90YXRlZA==" * 3):
            assert secret.removeprefix("whsec_").encode() not in content
        assert b"s" * 32 not in content


def test_what_waits_for_many_endpoints_is_asked_no_more_often_than_for_one(store: Database) -> None:
    asked: list[str] = []
    for name in ("ep_1", "ep_2", "ep_3"):
        make_endpoint(store, name)

    def note(*given: object) -> None:
        asked.append(str(given[2]))

    with store.read() as session:
        found = endpoints.list_all(session)
        event.listen(store.engine, "before_cursor_execute", note)
        try:
            endpoint_records(session, found[:1])
            of_one = len(asked)
            assert [one["endpoint"] for one in endpoint_records(session, found)] == [one.id for one in found]
        finally:
            event.remove(store.engine, "before_cursor_execute", note)
    assert len(asked) == 2 * of_one
