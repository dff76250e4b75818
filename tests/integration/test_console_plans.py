"""No page of the console reads a large table from end to end, on both databases, over thousands of rows."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlmodel import Session

from schemas.ids import ROW_BITS, job_id
from tests.integration.explain_rig import analyze, filled_once, plans, scans
from tests.integration.store_rig import TEMPLATE, wish
from worker.store import insight, known, listing, redriving, sight
from worker.store.engine import Database
from worker.store.insight import Span
from worker.store.known import TargetFilter
from worker.store.redriving import DeliveryFilter
from worker.store.selection import Selection, some_ids
from worker.store.tables import attempts, deliveries, jobs, messages, quota_answers, rejections, targets

ROWS = 4_000
NOW = datetime(2026, 1, 31, tzinfo=UTC)
LARGE = ("jobs", "attempts", "targets", "webhook_deliveries", "webhook_messages", "rejections")
QUOTA = f"{TEMPLATE}@1/quota;usecase=u"


def id_of(number: int) -> int:
    """Ten batches of 400 rows."""
    return job_id(1 + number // 400, 1 + number % 400)


STEPS: dict[str, Callable[[Session], object]] = {
    "the newest jobs": lambda session: listing.list_jobs(session, Selection(), 50),
    "an older page": lambda session: listing.list_jobs(session, Selection(), 50, id_of(2_000)),
    "jobs of a batch": lambda session: listing.list_jobs(session, Selection(batch_id=5), 50),
    "jobs of a target": lambda session: listing.list_jobs(session, Selection(resource=wish(7).name), 50),
    "a portion to be steered": lambda session: some_ids(session, Selection(batch_id=5), id_of(2_000), 500),
    "a target's wishes": lambda session: insight.wishes_of(session, wish(7).name, 200),
    "requests over time": lambda session: insight.requests_over_time(
        session, "default", Span(NOW, timedelta(minutes=2), 2)
    ),
    "a page of targets": lambda session: known.list_targets(session, TargetFilter(), 50, wish(7).name),
    "a quota's answers": lambda session: insight.answers_of(session, QUOTA, 200),
    "what one endpoint did not take": lambda session: redriving.list_deliveries(
        session, DeliveryFilter(endpoint="ep_1", state="dead"), 50
    ),
    "an older page of deliveries": lambda session: redriving.list_deliveries(session, DeliveryFilter(), 50, 2_000),
    "rejected rows": lambda session: listing.first_rejections(session, 5, 1_000, id_of(2_000)),
    "whose a batch is": lambda session: sight.batch_is_of(session, 5, {"acme"}),
}


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Database]]:
    """Filled once for each kind of database."""
    with filled_once(request, _fill) as stores:
        yield stores


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_each_list_is_one_stretch_of_an_index(full: Callable[[str], Database], kind: str) -> None:
    store = full(kind)
    slow = {name: scans(plan, LARGE) for name, step in STEPS.items() for plan in plans(store, step, LARGE)}
    assert {name: found for name, found in slow.items() if found} == {}


def _fill(store: Database) -> None:
    with store.write() as session:
        ids = [id_of(number) for number in range(1, ROWS + 1)]
        session.execute(insert(jobs), [_job(number, id_) for number, id_ in enumerate(ids, start=1)])
        session.execute(insert(rejections), [_rejection(id_of(number) + 10_000) for number in range(ROWS)])
        session.execute(insert(attempts), [_attempt(number, id_) for number, id_ in enumerate(ids)])
        session.execute(insert(targets), [_target(number) for number in range(ROWS)])
        session.execute(insert(messages), [_message(number) for number in range(1, ROWS + 1)])
        session.execute(insert(deliveries), [_delivery(number) for number in range(1, ROWS + 1)])
        session.execute(insert(quota_answers), [_answer(number) for number in range(ROWS)])
    analyze(store)


def _job(number: int, id_: int) -> dict[str, object]:
    return {
        "id": id_,
        "batch_id": id_ >> ROW_BITS,
        "kind": "target_update",
        "remote": "default",
        "lane": "bulk",
        "resource": wish(number).name,
        "wish": "{}",
        "version": number,
        "state": "pending" if number % 10 == 0 else "succeeded",
        "due_at": NOW,
        "created_at": NOW,
    }


def _rejection(id_: int) -> dict[str, object]:
    return {
        "job_id": id_,
        "batch_id": id_ >> ROW_BITS,
        "line": 1,
        "field": "target",
        "reason": "no number",
        "value": "many",
    }


def _attempt(number: int, job: int) -> dict[str, object]:
    return {
        "job_id": job,
        "number": 1,
        "remote": "default",
        "operation": "update_target",
        "started_at": NOW - timedelta(seconds=number),
        "latency_ms": 1.0,
        "outcome": "answered",
        "request_id": f"r-{number}",
        "worker": "host:1",
    }


def _target(number: int) -> dict[str, object]:
    return {
        "name": wish(number).name,
        "scorecard_template_name": TEMPLATE,
        "criterion_or_chapter_id": "",
        "target": 50.0,
        "usecase_name": "",
        "coaching_plan_name": "",
        "known_at": NOW,
    }


def _message(number: int) -> dict[str, object]:
    return {"seq": number, "id": f"msg_{number}", "type": "target.updated", "created_at": NOW, "body": "{}"}


def _delivery(number: int) -> dict[str, object]:
    return {
        "id": number,
        "message_seq": number,
        "endpoint_id": f"ep_{number % 20}",
        "state": "dead" if number % 50 == 1 else "delivered",
        "due_at": NOW,
        "attempts": 1,
        "created_at": NOW,
    }


def _answer(number: int) -> dict[str, object]:
    return {
        "resource": QUOTA if number == 0 else f"{TEMPLATE}@1/quota;usecase=u{number % 40}",
        "scorecard_template_name": f"{TEMPLATE}@1",
        "total_agent_quota": number % 7,
        "total_active_agents_count": 1,
        "answered_at": NOW,
        "job_id": 1,
    }
