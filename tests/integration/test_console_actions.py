"""Actions of the console: confirmed, done by what the commands call, and in the audit trail whatever comes of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from schemas.ids import format_job_id
from tests.integration.cli_rig import command_on
from tests.integration.console_rig import Console, Filled, Visitor, console_on, fill, state_of
from tests.integration.store_rig import batch, change, job_ids, wish
from tests.services.stores import on_both, on_sqlite
from worker.console import actions
from worker.core.access import Scope
from worker.store import approvals, endpoints, halts, quarantine
from worker.store.engine import Database
from worker.store.steering import AT_ONCE
from worker.store.tables import audit, deliveries, resources
from worker.store.tables import endpoints as endpoint_table

pytestmark = on_sqlite


@pytest.fixture
def filled(store: Database) -> Filled:
    return fill(store)


@pytest.fixture
def console(store: Database, filled: Filled, tmp_path: Path, valkey: str) -> Iterator[Console]:
    assert filled
    with console_on(store, tmp_path, broker_url=valkey) as served:
        yield served


@pytest.fixture
def ann(console: Console) -> Visitor:
    return console.signed_in()


def lines(store: Database) -> list[tuple[str, str, str, str]]:
    """Without the sign-ins."""
    with store.read() as session:
        found = session.execute(audit.select().where(audit.c.action != "sign-in").order_by(audit.c.id)).all()
    return [(one.who, one.action, one.subject, one.outcome) for one in found]


@on_both
def test_a_failed_job_is_retried_once(store: Database, ann: Visitor, filled: Filled) -> None:
    job = format_job_id(filled.failed)
    assert "It is tried again now." in ann.do("retry-job", job)
    assert state_of(store, filled.failed) == "pending"
    assert ann.post("/do/retry-job", csrf=ann.csrf, on=job).status_code == 409
    assert lines(store) == [
        ("ann", "retry-job", f"job {job}", "done"),
        ("ann", "retry-job", f"job {job}", "refused"),
    ]


def test_a_pending_job_is_cancelled(store: Database, ann: Visitor, filled: Filled) -> None:
    ann.do("cancel-job", format_job_id(filled.pending))
    assert state_of(store, filled.pending) == "cancelled"


@on_both
def test_a_batch_is_cancelled_whole_and_its_failed_jobs_are_retried(
    store: Database, ann: Visitor, filled: Filled
) -> None:
    ids = job_ids(store, *(wish(f"many-{number}") for number in range(1_100)))
    assert "1,100 jobs were cancelled" in ann.do("cancel-batch", ids[0] >> 24)
    assert batch(store, ids[0] >> 24).cancelled == 1_100
    assert "2 jobs were retried" in ann.do("retry-batch", filled.done_batch)
    assert state_of(store, filled.failed) == "pending"


def test_what_takes_too_long_is_done_in_parts(store: Database, console: Console, ann: Visitor) -> None:
    ids = job_ids(store, *(wish(f"many-{number}") for number in range(1_100)))
    ann.get(f"/do/cancel-batch?on={ids[0] >> 24}")
    console.clock.ahead_each = 60.0
    answer = ann.post("/do/cancel-batch", csrf=ann.csrf, on=ids[0] >> 24)
    assert "500 jobs were cancelled. There are more" in answer.text
    assert "Do the rest" in answer.text
    assert batch(store, ids[0] >> 24).cancelled == 500


def test_of_another_customers_batches_and_jobs_nothing_is_cancelled_or_retried(
    store: Database, console: Console, filled: Filled
) -> None:
    gus = console.signed_in(customers=("globex",), name="gus")
    gus.get("/")
    for action, on in (
        ("cancel-batch", filled.open_batch),
        ("cancel-job", format_job_id(filled.pending)),
        ("retry-batch", filled.done_batch),
        ("retry-job", format_job_id(filled.failed)),
    ):
        assert gus.client.get(f"/console/do/{action}?on={on}").status_code == 404, action
        assert gus.post(f"/do/{action}", csrf=gus.csrf, on=on).status_code == 404, action
    assert (state_of(store, filled.pending), state_of(store, filled.failed)) == ("pending", "failed")
    assert lines(store) == []


def test_a_row_of_another_customer_that_comes_into_a_batch_meanwhile_is_not_cancelled_with_it(
    store: Database, console: Console
) -> None:
    *ids, another = job_ids(store, *(wish(f"many-{number}") for number in range(AT_ONCE + 1)))
    theirs = "customers/acme-2/profiles/main/targets/t-1"
    with store.write() as session:
        session.execute(insert(resources).values(name=theirs, version=1, newest_job_id=another))

    def it_comes() -> None:
        if state_of(store, ids[0]) == "cancelled":
            change(store, [another], resource=theirs)

    console.clock.meanwhile = it_comes
    acme = console.signed_in(customers=("acme",))
    assert f"{AT_ONCE} jobs were cancelled." in acme.do("cancel-batch", another >> 24)
    assert state_of(store, another) == "pending"


def test_an_approval_is_given_or_refused_by_who_is_signed_in(store: Database, ann: Visitor, filled: Filled) -> None:
    ann.do("approve", filled.approval)
    with store.read() as session:
        found = approvals.find(session, filled.approval)
    assert found
    assert (found.state, found.decided_by) == ("approved", "ann")
    assert "it was approved by ann" in ann.get(f"/do/reject?on={filled.approval}")
    refused = ann.post("/do/reject", csrf=ann.csrf, on=filled.approval)
    assert refused.status_code == 409
    assert lines(store)[-1] == ("ann", "reject", f"approval {filled.approval}", "refused")


def test_a_remote_is_released_from_its_quarantine(store: Database, ann: Visitor) -> None:
    assert "Ended: the quarantine" in ann.do("release-remote", "default")
    with store.read() as session:
        assert quarantine.find(session, "default") is None
        assert halts.list_all(session), "what a person has paused stays paused"


def test_without_the_broker_nothing_is_released(store: Database, filled: Filled, tmp_path: Path) -> None:
    with console_on(store, tmp_path) as console:
        ann = console.signed_in()
        assert "the broker cannot be reached" in ann.do("release-remote", "default", 409)
    with store.read() as session:
        assert quarantine.find(session, "default")
    assert filled
    assert lines(store)[-1][-1] == "refused"


def test_a_remote_and_a_lane_are_paused_and_resumed(store: Database, ann: Visitor) -> None:
    ann.do("resume-remote", "default bulk")
    ann.do("pause-remote", "default interactive", why="a look at the queue")
    with store.read() as session:
        (halt,) = halts.list_all(session)
    assert (halt.lane, halt.who, halt.why) == ("interactive", "ann", "a look at the queue")
    assert "a look at the queue" in ann.get("/audit")
    ann.do("resume-remote", "default")
    with store.read() as session:
        assert halts.list_all(session) == []


def test_a_message_that_was_set_aside_is_sent_again(store: Database, ann: Visitor, filled: Filled) -> None:
    ann.do("replay-delivery", filled.dead)
    with store.read() as session:
        row = session.execute(deliveries.select().where(deliveries.c.id == filled.dead)).one()
    assert (row.state, row.attempts) == ("pending", 0)


def test_what_nobody_would_take_is_not_sent_again(store: Database, ann: Visitor, filled: Filled) -> None:
    with store.write() as session:
        session.execute(update(endpoint_table).values(state="disabled"))
    assert "its endpoint is disabled" in ann.do("replay-delivery", filled.dead, 409)


@on_both
def test_a_secret_is_rotated_and_shown_once(store: Database, ann: Visitor, filled: Filled) -> None:
    shown = ann.do("rotate-secret", filled.endpoint)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", shown)
    assert secret
    with store.read() as session:
        assert len(endpoints.secrets_of(session, [filled.endpoint])) == 2
        assert secret[0] not in str(session.execute(audit.select()).all())
    for path in ("/audit", f"/webhooks/{filled.endpoint}"):
        assert "whsec_" not in ann.get(path)


def test_who_may_only_look_is_offered_no_action_and_does_none(console: Console, filled: Filled) -> None:
    eve = console.signed_in(Scope.CONSOLE_VIEW, name="eve")
    job = format_job_id(filled.failed)
    assert "/do/" not in eve.get(f"/jobs/{job}") + eve.get("/remotes/default") + eve.get("/webhooks/ep_crm")
    eve.get("/")
    for name in actions.ACTIONS:
        assert eve.client.get(f"/console/do/{name}?on={job}").status_code == 403
        assert eve.post(f"/do/{name}", csrf=eve.csrf, on=job).status_code == 403
    assert lines(console.store) == []


def test_what_is_not_there_is_not_acted_on(console: Console, ann: Visitor) -> None:
    for action, on, code in (
        ("retry-job", "1-999", 404),
        ("cancel-batch", "999", 404),
        ("approve", "many", 400),
        ("approve", "999", 404),
        ("pause-remote", "nowhere", 404),
        ("pause-remote", "default nolane", 400),
        ("replay-delivery", "0x1", 400),
        ("rotate-secret", "ep_none", 404),
        ("make-coffee", "1", 404),
    ):
        assert ann.client.get(f"/console/do/{action}?on={on}").status_code == code, action
        ann.get("/")
        assert ann.post(f"/do/{action}", csrf=ann.csrf, on=on).status_code == code, action
    assert lines(console.store) == []


def test_an_action_that_breaks_is_in_the_trail_as_failed(store: Database, ann: Visitor, filled: Filled) -> None:
    """Its key is none: the secret cannot be sealed."""
    ann.get(f"/do/rotate-secret?on={filled.endpoint}")
    ann.key_file.write_text("short")
    broken = ann.post("/do/rotate-secret", csrf=ann.csrf, on=filled.endpoint)
    assert broken.status_code == 500
    assert "This should not have happened" in broken.text
    assert "content-security-policy" in broken.headers
    assert lines(store)[-1] == ("ann", "rotate-secret", f"endpoint {filled.endpoint}", "failed")


def test_the_trail_is_read_by_a_command_too(store: Database, ann: Visitor, filled: Filled, tmp_path: Path) -> None:
    ann.do("cancel-job", format_job_id(filled.pending))
    coachsync = command_on(store, tmp_path)
    newest, before = json.loads(coachsync("audit", "list", "--json").out)
    assert (newest["who"], newest["action"], newest["outcome"]) == ("ann", "cancel-job", "done")
    assert newest["subject"] == f"job {format_job_id(filled.pending)}"
    assert before["action"] == "sign-in"
    assert coachsync.json("audit", "list", "--who", "bob") == []
    (one,) = coachsync.json("audit", "list", "--action", "cancel-job", "--limit", 1)
    assert one["number"] == newest["number"]
