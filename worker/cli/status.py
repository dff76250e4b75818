"""``coachsync status``: is all well, and if not, what stands in the way."""

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta

import typer
from sqlmodel import Session

from worker.cli.fleet import Fleet, look, strangers
from worker.cli.options import Json, open_runtime
from worker.cli.output import Output
from worker.cli.status_report import Stored, show_status, status_record
from worker.configuration.remotes import Remote
from worker.core.delivery import OPENS_AFTER
from worker.core.verdict import EndpointState, RemoteState, Situation, judge
from worker.store import endpoints, pauses, quarantine
from worker.store.depths import (
    batch_totals,
    failed_by_code,
    lane_depths,
    oldest_due_job,
    requests_since,
    roster_depth,
)
from worker.store.endpoints import Depth
from worker.store.engine import database_now
from worker.store.heartbeats import deliverers, loops
from worker.store.outbox import DISABLED, ENABLED
from worker.store.webhook_models import Endpoint

MINUTE = timedelta(minutes=1)


def register(root: typer.Typer) -> None:
    root.command()(status)


def status(as_json: Json = False) -> None:
    """Say in one line whether all is well; then the depth of each lane, the remotes' limits, batches and processes.

    Works while the broker is away. Exit code 1: the database cannot be read.

    Example: coachsync status
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime:
        remotes = runtime.settings.all_remotes
        with runtime.database.read() as session:
            stored = _read(session, remotes)
        fleet = look(runtime)
    situation = _situation(stored, fleet, remotes)
    report = status_record(judge(situation), stored, fleet, remotes) | {"strangers": situation.strangers}
    if as_json:
        output.json(report)
    else:
        show_status(report, output)


def _read(session: Session, remotes: Sequence[Remote]) -> Stored:
    now = database_now(session)
    lanes = lane_depths(session, now)
    return Stored(
        now=now,
        lanes=lanes,
        oldest_due_job=oldest_due_job(session, lanes),
        failed=failed_by_code(session),
        totals=batch_totals(session),
        aside={row.remote: row for row in quarantine.list_all(session)},
        pauses=pauses.standing(session),
        loops=loops(session),
        roster=roster_depth(session),
        deliverers=deliverers(session),
        endpoints=[(one, endpoints.depth_of(session, one.id)) for one in endpoints.list_all(session)],
        requests={remote.name: requests_since(session, remote.name, MINUTE, now) for remote in remotes},
    )


def _situation(stored: Stored, fleet: Fleet, remotes: Sequence[Remote]) -> Situation:
    named = {remote.name for remote in remotes}
    names = [*sorted(named), *sorted({lane.remote for lane in stored.lanes} - named)]
    return Situation(
        broker=fleet.broker_error is None,
        workers=len(fleet.workers),
        processes=fleet.processes,
        loops=len(stored.loops.beating),
        remotes=[_remote_state(name, stored, fleet, named=name in named) for name in names],
        silent_for=stored.loops.silent_for,
        strangers=strangers(stored.loops.beating, fleet.workers, remotes),
        deliverers=len(stored.deliverers),
        endpoints=[_endpoint_state(*one, stored) for one in stored.endpoints],
    )


def _endpoint_state(endpoint: Endpoint, depth: Depth, stored: Stored) -> EndpointState:
    is_due = depth.oldest_due is not None and depth.oldest_due <= stored.now and endpoint.state == ENABLED
    return EndpointState(
        name=endpoint.id,
        due=depth.pending if is_due else 0,
        disabled=endpoint.disabled_reason if endpoint.state == DISABLED else None,
        failing_since=endpoint.failing_since if endpoint.failures >= OPENS_AFTER else None,
    )


def _remote_state(name: str, stored: Stored, fleet: Fleet, *, named: bool) -> RemoteState:
    usage, aside = fleet.usages.get(name), stored.aside.get(name)
    asked = [one.until - stored.now for one in stored.pauses if (one.remote, one.lane) == (name, pauses.EVERY_LANE)]
    return RemoteState(
        name=name,
        named=named,
        waiting=sum(lane.due + lane.later for lane in stored.lanes if lane.remote == name),
        quarantined_since=aside.since if aside else None,
        cooldown=max([usage.cooldown if usage else timedelta(0), *asked]),
    )
