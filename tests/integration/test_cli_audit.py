"""`coachsync audit`: each command that steers leaves a line, a look or a refusal none."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from schemas.ids import format_job_id
from tests.integration.cli_rig import Command, command_on
from tests.integration.guard_rig import NOON
from tests.integration.store_rig import applied, job_ids, take_one, wish, write
from tests.services.stores import on_both, on_sqlite
from worker.cli.trail import under_way
from worker.store import approvals, quarantine
from worker.store.audit import AuditAction
from worker.store.engine import Database
from worker.store.tables import audit

pytestmark = on_sqlite
TOO_MUCH = approvals.Asked("targets", "digest", "a file", "too much")


@pytest.fixture
def coachsync(store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return command_on(store, tmp_path, webhook_key="k" * 32)


def trail(coachsync: Command) -> list[tuple[str, str, str]]:
    """Oldest first: the deed, on what, and what came of it."""
    lines: list[dict[str, Any]] = coachsync.json("audit", "list")
    assert {(one["door"], one["outcome"]) for one in lines} <= {("command", "done")}
    return [(one["action"], one["subject"], one["result"]) for one in reversed(lines)]


def test_jobs_that_are_cancelled_and_retried(store: Database, coachsync: Command) -> None:
    first, *_ = map(format_job_id, job_ids(store, wish(1), wish(2), wish(3)))
    coachsync("jobs", "cancel", first, "--dry-run")
    coachsync("jobs", "cancel", "0-1", code=2)
    coachsync("jobs", "cancel", first)
    coachsync("jobs", "cancel", "--batch", 1)
    coachsync("jobs", "cancel", "--batch", 1)
    coachsync("jobs", "retry", first, code=1)
    coachsync("jobs", "cancel", "--remote", "default", "--lane", "bulk")
    assert trail(coachsync) == [
        ("cancel-job", f"job {first}", "1 cancelled, 0 not"),
        ("cancel-batch", "batch 1", "2 cancelled, 0 not"),
        ("retry-job", f"job {first}", "0 retried, 1 not"),
    ], "where there is nothing to cancel, nothing was done"


def test_endpoints_and_what_they_are_sent_again(store: Database, coachsync: Command) -> None:
    made = coachsync.json("webhooks", "endpoints", "create", "https://hooks.example.com/x?token=hush")["endpoint"]
    write(store, applied(take_one(store, job_ids(store, wish(1))[0])))
    ours = ("webhooks", "endpoints")
    coachsync(*ours, "update", made, "--rate", 20, "--ordered")
    coachsync(*ours, "rotate", made)
    coachsync(*ours, "pause", made)
    coachsync(*ours, "pause", made, code=2)
    coachsync(*ours, "resume", made)
    coachsync("webhooks", "deliveries", "retry", "--endpoint", "ep_unknown", code=2)
    coachsync("webhooks", "deliveries", "retry", "--endpoint", made, "--dry-run")
    coachsync("webhooks", "deliveries", "retry", "--endpoint", made)
    coachsync("webhooks", "recover", made, "--since", "1h", "--dry-run")
    coachsync("webhooks", "recover", made, "--since", "1h")
    coachsync("webhooks", "reseal")
    coachsync(*ours, "delete", made)
    lines = trail(coachsync)
    assert [(action, subject) for action, subject, _ in lines] == [
        ("create-endpoint", f"endpoint {made}"),
        ("update-endpoint", f"endpoint {made}"),
        ("rotate-secret", f"endpoint {made}"),
        ("pause-endpoint", f"endpoint {made}"),
        ("resume-endpoint", f"endpoint {made}"),
        ("replay-delivery", f"deliveries that are dead, to {made}"),
        ("recover-endpoint", f"endpoint {made}"),
        ("reseal-secrets", "webhooks"),
        ("delete-endpoint", f"endpoint {made}"),
    ]
    assert lines[1][2] == "changed: ordered, rate_limit"
    assert "hush" not in str(lines)


def test_remotes_that_are_released_and_forgotten_and_answers_to_the_guard(
    store: Database, coachsync: Command, valkey: str
) -> None:
    here = Command({**coachsync.environ, "COACHSYNC_BROKER_URL": valkey})
    here("remotes", "release", "default")
    with store.write() as session:
        asked = approvals.request(
            session, approvals.Asked("targets", "digest", "a file", "too much"), timedelta(days=1)
        ).id
        quarantine.put_aside(session, "default", "it refuses us")
    here("approvals", "reject", asked, "--by", "ann")
    here("remotes", "release", "default", "--dry-run")
    here("remotes", "release", "default")
    here("remotes", "forget", "default", code=2)
    here("remotes", "forget", "default", "--yes")
    lines = trail(here)
    assert [(action, subject) for action, subject, _ in lines] == [
        ("reject", f"approval {asked}"),
        ("release-remote", "remote default"),
        ("forget-remote", "remote default"),
    ]
    assert "it refuses us" in lines[1][2]
    assert {one["who"] for one in here.json("audit", "list", "--action", "reject")} == {"ann"}


@on_both
def test_a_line_that_has_its_action_in_an_older_style_is_found_by_its_name_of_today(
    store: Database, coachsync: Command
) -> None:
    older = {"who": "ann", "door": "command", "subject": "x", "outcome": "done", "result": "1 row"}
    with store.write() as session:
        session.execute(insert(audit), [older | {"at": NOON, "action": "agents.forget"}])
    assert coachsync.json("audit", "list", "--action", "create-token") == []
    (found,) = coachsync.json("audit", "list", "--action", "forget-agent")
    assert (found["who"], found["result"]) == ("ann", "1 row")
    assert "forget-agent" in coachsync("audit", "list", "--help").out


def test_what_dies_in_the_middle_stays_begun_and_what_breaks_off_is_told_as_failed(
    store: Database, coachsync: Command
) -> None:
    outcomes = []

    def broken_off() -> None:
        with under_way(store, AuditAction.CANCEL_BATCH, "batch 1"):
            outcomes.append(coachsync.json("audit", "list")[0]["outcome"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    outcomes.append(coachsync.json("audit", "list")[0]["outcome"])
    assert outcomes == ["begun", "failed"]
