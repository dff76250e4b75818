"""How long each page of the console takes, from the request to its last byte, where the store holds much.

One `coachsync gateway` on each engine. Half of the jobs are done, the others wait, some have failed; each was told to
a webhook endpoint, and quotas, agents and events have a past. Nothing else runs beside it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from benchmarks.figures import Better, Column, Row, Table
from benchmarks.growth import fill
from benchmarks.scale import Scale
from benchmarks.site import ENGINES, Site
from benchmarks.throughput.contenders import our_environment
from benchmarks.throughput.place import Place
from benchmarks.throughput.updates import PROFILE
from worker.core.access import Scope, digest_of, new_token
from worker.store import schema, tokens
from worker.store.engine import Database
from worker.store.tokens import NewToken

MEDIAN, WORST = "median, ms", "slowest, ms"
COLUMNS = (Column(MEDIAN, 1, Better.LESS), Column(WORST, 1))
LOOKS = 7
QUOTA = f"{PROFILE}/scorecardTemplates/empathy@1/quota"
# What follows makes a store that has been worked with: SQL, since a day of the real thing would take a day.
_PAST = f"""
UPDATE jobs SET state = 'pending', result = NULL, finished_at = NULL, attempts = 0 WHERE id % 2 = 0;
UPDATE jobs SET state = 'failed', result = NULL, error_code = 'not_found', error = 'no such target' WHERE id % 20 = 1;
UPDATE batches SET succeeded = (SELECT count(*) FROM jobs WHERE state = 'succeeded'),
    failed = (SELECT count(*) FROM jobs WHERE state = 'failed'), completed_at = NULL;
INSERT INTO webhook_endpoints (id, url, types, customers, usecases, batches, concurrency, state, created_at, failures,
    warned) SELECT 'ep_bench', 'https://example.com/', '[]', '[]', '[]', '[]', 10, 'enabled', created_at, 0, 0
    FROM batches;
INSERT INTO webhook_messages (id, type, created_at, job_id, resource, body)
    SELECT 'msg_' || id, 'target.updated', created_at, id, resource, '{{}}' FROM jobs;
INSERT INTO webhook_deliveries (message_seq, endpoint_id, resource, state, due_at, attempts, created_at)
    SELECT seq, 'ep_bench', resource, CASE WHEN seq % 3 = 0 THEN 'dead' WHEN seq % 3 = 1 THEN 'pending'
    ELSE 'delivered' END, created_at, 1, created_at FROM webhook_messages;
INSERT INTO quota_answers (resource, scorecard_template_name, total_agent_quota, total_active_agents_count,
    answered_at, job_id) SELECT '{QUOTA};usecase=u' || (id % 50), '{PROFILE}/scorecardTemplates/empathy@1', id % 7,
    10, created_at, id FROM jobs;
INSERT INTO agents (profile, agent, facts, record, active, coaching_plan_name, changed_at)
    SELECT '{PROFILE}', 'a' || id, '{{"fields": {{}}}}', '{{"agent": "a", "profile": "{PROFILE}", "groups": [],
    "usecases": [], "coachingPlanName": "", "joinedAt": null}}', id % 3 > 0, '', created_at FROM jobs
    WHERE id % 10 = 0;
INSERT INTO roster_events (source, event_id, type, time, profile, agent, event, door, state, outcome, guarded,
    received_at) SELECT 'hr', 'e' || id, 'coaching.roster.agent.joined', created_at, '{PROFILE}', 'a' || id, '{{}}',
    'bench', 'planned', 'applied', false, created_at FROM jobs WHERE id % 2 = 0;
ANALYZE
"""  # noqa: S608 - our own names


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    jobs = scale.stored[-1]
    for engine in ENGINES:
        with site.database(engine) as url:
            with closing(Database(url)) as database:
                schema.upgrade(database)
            fill(site.folder, jobs, url)
            token = _make_past(url)
            environ = our_environment(Place(site.broker.url, "", "http://127.0.0.1:9"), site.folder, url)
            with gateway(environ, site.folder) as address, _signed_in(address, token) as client:
                rows = [_row(client, name, path) for name, path in pages(client).items()]
        setting = f"{jobs:,} jobs, half of them done, on {engine}; {LOOKS} looks at each page after a first one"
        yield Table(f"console-{engine.lower()}", f"The console's pages on {engine}", setting, COLUMNS, rows, None)


def pages(client: httpx.Client) -> dict[str, str]:
    """One of each that has to find its way through many rows."""
    batch = "/batches/1"
    target = f"{PROFILE}/targets/t-1000500"
    return {
        "overview": "/",
        "batches": "/batches",
        "batch": batch,
        "batch, its progress": f"{batch}/live",
        "jobs": "/jobs",
        "jobs, the thousandth page": f"/jobs?before=1-{50_000}",
        "jobs, failed": "/jobs?state=failed",
        "jobs, pending, bulk": "/jobs?state=pending&lane=bulk",
        "job that waits": "/jobs/1-1000",
        "target": _led_to(client, target),
        "targets": "/targets",
        "quotas": "/quotas",
        "quota": f"/quotas/{QUOTA};usecase=u7",
        "agents": "/agents",
        "agents, gone": "/agents?gone=1",
        "webhooks": "/webhooks",
        "endpoint": "/webhooks/ep_bench",
        "deliveries, dead": "/deliveries?state=dead",
        "deliveries of a job": "/deliveries?job=1-1000",
        "approvals": "/approvals",
        "drift": "/drifts",
        "remote": "/remotes/default",
        "search": "/search?q=a-name-that-nobody-has",
    }


@contextmanager
def gateway(environ: dict[str, str], folder: Path) -> Iterator[str]:
    """A gateway of its own; yields where it listens."""
    command = [sys.executable, "-m", "worker.cli", "gateway", "--port", "0"]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603 - our own command
    assert process.stdout
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def _make_past(url: str) -> str:
    token = new_token(os.urandom)
    with closing(Database(url)) as database, database.write() as session:
        for statement in _PAST.split(";\n"):
            session.execute(text(statement))
        tokens.create(session, NewToken("tok_bench", "bench", digest_of(token), {Scope.CONSOLE_ACT}))
    return token


@contextmanager
def _signed_in(address: str, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{address}/console", headers={"Origin": address}, timeout=60) as client:
        answer = client.post("/sign-in", data={"token": token})
        assert answer.is_redirect, answer.text
        yield client


def _led_to(client: httpx.Client, name: str) -> str:
    """A target that is there: the first one, unless this one is."""
    answer = client.get(f"/targets/{name}")
    if answer.is_success:
        return f"/targets/{name}"
    listed = client.get("/targets").text
    return "/targets/" + listed.partition("/console/targets/customers")[2].join(["customers", ""]).partition('"')[0]


def _row(client: httpx.Client, name: str, path: str) -> Row:
    took = []
    for _ in range(LOOKS + 1):
        begun = time.perf_counter()
        answer = client.get(path)
        took.append(1_000 * (time.perf_counter() - begun))
        assert answer.is_success, (path, answer.status_code, answer.text)
    looks = took[1:]
    return Row(name, {MEDIAN: looks, WORST: [max(looks)]})
