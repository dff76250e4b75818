"""A store with something of everything that the console shows, and the console served on it."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, update

from schemas.coaching import Quota
from schemas.lanes import Lane
from tests.integration.cli_rig import command_on
from tests.integration.gateway_rig import Gateway, gateway_on, make_token
from tests.integration.roster_rig import submit, told
from tests.integration.store_rig import (
    AT_WORK,
    HOME,
    anew,
    applied,
    change,
    job_ids,
    name_of,
    quota_wish,
    take,
    tried,
    wish,
    write,
)
from tests.integration.webhook_rig import make_endpoint
from worker.clock import utc_now
from worker.configuration.settings import load_settings
from worker.console.app import create_console
from worker.console.entry import Attempts
from worker.console.fleet_watch import FleetWatch
from worker.console.services import ConsoleServices
from worker.core.access import Scope
from worker.core.decisions import Fail, Succeed
from worker.fleet import Fleet, WorkerSeen
from worker.runtime import Runtime
from worker.store import approvals, halts, quarantine, schema
from worker.store.approvals import Asked
from worker.store.engine import Database, database_now
from worker.store.outbox import DEAD, DELIVERED
from worker.store.records import Record
from worker.store.tables import (
    attempts,
    batches,
    deliveries,
    delivery_attempts,
    drifts,
    heartbeats,
    jobs,
    messages,
    quota_answers,
    roster_events,
    targets,
)

HOSTILE = "<script>alert('x')</script>\"&"
FLEET = Fleet(workers={"coachsync-7@host": WorkerSeen(processes=2)})
TARGET = name_of("history")
VALUES = (62.5, 65, 70, 68, 72.5, 75, 80, 82.5)
QUOTAS = ((120, 24), (125, 25), (135, 27), (130, 26), (130, 26), (140, 28), (155, 31), (150, 30))


@dataclass(frozen=True, slots=True)
class Filled:
    """What is in the store, by name."""

    failed: int
    pending: int
    succeeded: int
    done_batch: int
    open_batch: int
    quota: str
    endpoint: str
    dead: int
    delivered: int
    message: str
    approval: int
    event: int


def fill(store: Database, hostile: str = HOSTILE) -> Filled:
    """Ended and open batches, refused rows, a target and a quota with a past, a roster, webhooks, trouble."""
    make_endpoint(store, "ep_crm")
    ended = [wish(f"{number:03}", 50 + number) for number in range(12)]
    first = job_ids(store, *ended, None, None)
    claimed = take(store, *first, owner="first")
    refused = Fail("not_found", f"the remote says: no such target {hostile}".strip())
    write(store, *(applied(one) for one in claimed[2:]), *(tried(one, refused) for one in claimed[:2]))
    _target_history(store)
    quota = _quota_history(store)
    waiting = job_ids(store, *(wish(f"open-{number}", 60) for number in range(8)))
    write(store, *(applied(one) for one in take(store, *waiting[:5], owner="second")))
    _dress(store)
    _roster(store)
    event = _event_times(store)
    dead, delivered, message = _deliveries(store, hostile)
    number = _trouble(store, hostile)
    return Filled(
        failed=first[0],
        pending=waiting[-1],
        succeeded=first[5],
        done_batch=first[0] >> 24,
        open_batch=waiting[0] >> 24,
        quota=quota,
        endpoint="ep_crm",
        dead=dead,
        delivered=delivered,
        message=message,
        approval=number,
        event=event,
    )


@dataclass
class Hurried:
    """A clock on which each look takes ``ahead_each`` seconds more, and lets ``meanwhile`` happen."""

    ahead_each: float = 0.0
    ahead: float = 0.0
    meanwhile: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        self.meanwhile()
        self.ahead += self.ahead_each
        return time.monotonic() + self.ahead


@dataclass
class Console:
    gateway: Gateway
    store: Database
    folder: Path
    clock: "Hurried"

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/console"

    def visitor(self) -> "Visitor":
        """Somebody who is not signed in."""
        client = self.gateway.without_token(Origin=self.gateway.url)
        return Visitor(client, self.folder)

    def signed_in(self, *scopes: Scope, customers: tuple[str, ...] = (), name: str = "ann") -> "Visitor":
        """May act, unless other scopes are given."""
        token = make_token(self.store, *(scopes or (Scope.CONSOLE_ACT,)), customers=customers, name=name)
        visitor = self.visitor()
        answer = visitor.post("/sign-in", token=token)
        assert answer.status_code == 303, answer.text
        return visitor


@dataclass
class Visitor:
    """A browser without eyes: it keeps cookies and knows the forms that it was shown."""

    client: httpx.Client
    folder: Path
    csrf: str = ""

    def get(self, path: str, code: int = 200) -> str:
        answer = self.client.get(f"/console{path}")
        assert answer.status_code == code, (path, answer.status_code, answer.text[:2000])
        if found := re.search(r'name="csrf" value="([0-9a-f]{64})"', answer.text):
            self.csrf = found[1]
        return answer.text

    def post(self, path: str, **fields: Any) -> httpx.Response:
        return self.client.post(f"/console{path}", data=fields)

    @property
    def key_file(self) -> Path:
        """The home's own key of webhook secrets."""
        return self.folder / "webhook.key"

    def do(self, action: str, on: object, code: int = 200, **fields: Any) -> str:
        """Confirm an action, as one does who has read what it would do."""
        self.get(f"/do/{action}?on={on}")
        answer = self.post(f"/do/{action}", csrf=self.csrf, on=on, **fields)
        assert answer.status_code == code, answer.text[:2000]
        return answer.text


@contextmanager
def filled_store(folder: Path, *, tidy: bool = False) -> Iterator[tuple[Database, Filled]]:
    """For tests that only look: filled once for all of them. ``tidy``: nobody has written anything hostile."""
    with closing(Database(f"sqlite:///{folder / 'filled.db'}")) as database:
        schema.upgrade(database)
        yield database, fill(database, "" if tidy else HOSTILE)


@contextmanager
def console_on(store: Database, folder: Path, **settings: str) -> Iterator[Console]:
    """Of a fleet that nobody is asked of: what the broker would say is said here."""
    environ = command_on(store, folder, **settings).environ
    with closing(Runtime(load_settings(environ, cwd=folder))) as runtime:
        clock = Hurried()
        watch = FleetWatch(lambda: FLEET, time.monotonic)
        app = create_console(ConsoleServices(runtime, watch, Attempts(utc_now), clock.monotonic))
        with gateway_on(store, folder, {"/console": app}, **settings) as gateway:
            yield Console(gateway, store, folder, clock)


def _target_history(store: Database) -> None:
    """A wish each day, one of which failed and one was superseded."""
    now = _now(store)
    for day, value in enumerate(VALUES):
        (job,) = job_ids(store, wish("history", value))
        (claimed,) = take(store, job, owner=f"day-{day}")
        write(
            store, tried(claimed, Fail("mismatch", "the remote did something else")) if day == 3 else applied(claimed)
        )
        at = now - timedelta(days=len(VALUES) - day)
        change(store, [job], created_at=at, finished_at=at + timedelta(minutes=2))


def _quota_history(store: Database) -> str:
    asked = quota_wish(usecase_name=f"{HOME}/usecases/u")
    (job,) = job_ids(store, asked)
    now = _now(store)
    rows = [
        {
            "resource": asked.resource,
            "scorecard_template_name": asked.scorecard_template_name,
            "usecase_name": asked.usecase_name,
            "total_agent_quota": total,
            "total_active_agents_count": agents,
            "answered_at": now - timedelta(days=len(QUOTAS) - day),
            "job_id": job,
        }
        for day, (total, agents) in enumerate(QUOTAS)
    ]
    with store.write() as session:
        session.execute(insert(quota_answers), rows)
    (claimed,) = take(store, job, owner="quota")
    write(
        store,
        Record(
            claimed,
            Succeed("recalculated", Quota(total_agent_quota=150, total_active_agents_count=30)),
            (anew(AT_WORK),),
            wish=asked,
        ),
    )
    return asked.resource


def _dress(store: Database) -> None:
    """As batches are called that people have made."""
    with store.write() as session:
        session.execute(update(batches).values(source="history.jsonl"))
        for number, source, label in ((1, "targets.csv", "nightly"), (11, "urgent.csv", "before the review")):
            session.execute(update(batches).where(batches.c.id == number).values(source=source, label=label))


def _roster(store: Database) -> None:
    profile = {"profile": HOME}
    submit(store, [told("joined", f"agent-{number}", number, **profile) for number in range(6)])
    submit(store, [told("joined", "ann.other", 30, **profile), told("left", "agent-2", 60, **profile)])
    submit(store, [told("moved", "agent-1", 90, groups=["tier-2"], **profile)])


def _event_times(store: Database) -> int:
    """They happened in the days of the quota."""
    now = _now(store)
    with store.write() as session:
        found = session.execute(
            roster_events.select().where(roster_events.c.agent != "").order_by(roster_events.c.seq)
        ).all()
        for number, row in enumerate(reversed(found)):
            at = now - timedelta(days=0.6 + 0.8 * number)
            session.execute(update(roster_events).where(roster_events.c.seq == row.seq).values(time=at))
    return int(found[-1].seq)


def _deliveries(store: Database, hostile: str) -> tuple[int, int, str]:
    now = _now(store)
    with store.write() as session:
        ids = list(session.execute(deliveries.select().order_by(deliveries.c.id)).all())
        dead, done = ids[0], ids[1:10]
        session.execute(
            update(deliveries)
            .where(deliveries.c.id == dead.id)
            .values(state=DEAD, status=410, error=f"410 Gone {hostile}", attempts=9, finished_at=now)
        )
        session.execute(
            update(deliveries)
            .where(deliveries.c.id.in_([one.id for one in done]))
            .values(state=DELIVERED, status=200, attempts=1, finished_at=now)
        )
        session.execute(
            insert(delivery_attempts),
            [
                {
                    "delivery_id": dead.id,
                    "started_at": now - timedelta(minutes=minutes),
                    "latency_ms": 31.0,
                    "status": 410,
                    "error": None,
                    "body": hostile,
                    "sender": "host:7",
                }
                for minutes in (9, 4, 1)
            ],
        )
        name = session.execute(messages.select().where(messages.c.seq == dead.message_seq)).one().id
    return dead.id, done[0].id, name


def _trouble(store: Database, hostile: str) -> int:
    now = _now(store)
    with store.write() as session:
        quarantine.put_aside(session, "default", "401 Unauthorized: the token has expired")
        halts.halt(session, "default", Lane.BULK, "bob", "their release is on")
        asked = Asked("roster", "digest", f"the roster of {HOME} {hostile}", "12 of 30 agents would leave; 6 may")
        number = approvals.request(session, asked, timedelta(hours=24)).id
        session.execute(
            insert(drifts),
            [
                {
                    "reconciliation_id": 1,
                    "resource": TARGET,
                    "field": "target",
                    "kind": "changed",
                    "wanted": "82.5",
                    "found": f"90 {hostile}",
                    "action": "observed",
                    "found_at": now,
                }
            ],
        )
        beats = [("host:11", "loops"), ("host:12", "deliverer"), ("host:13", "gateway")]
        session.execute(insert(heartbeats), [{"name": name, "role": role, "seen_at": now} for name, role in beats])
        sent = [
            {
                "job_id": 0,
                "number": 1,
                "remote": "default",
                "operation": "list_targets",
                "started_at": now - timedelta(seconds=30 * number),
                "latency_ms": 12.0,
                "status": 200,
                "outcome": "answered",
                "request_id": f"seen-{number}-{copy}",
                "worker": "host:1",
            }
            for number in range(110)
            for copy in range(4 + (number * 37) % 11)
        ]
        session.execute(insert(attempts), sent)
        session.execute(update(targets).where(targets.c.name == TARGET).values(known_at=now))
    return number


def _now(store: Database) -> datetime:
    with store.read() as session:
        return database_now(session)


def state_of(store: Database, job: int) -> str:
    with store.read() as session:
        return str(session.execute(jobs.select().where(jobs.c.id == job)).one().state)
