"""The state of the whole: what the database says, what the fleet says, and both as one record."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from api_adapter.rate_limit.permits import Usage
from schemas.ids import format_job_id
from worker.configuration.remotes import Remote
from worker.core.delivery import OPENS_AFTER
from worker.core.verdict import EndpointState, RemoteState, Situation, Verdict
from worker.fleet import Fleet, strangers
from worker.store import endpoints, halts, pauses, quarantine
from worker.store.console_models import Halt
from worker.store.depths import (
    BatchTotals,
    LaneDepth,
    RosterDepth,
    batch_totals,
    failed_by_code,
    lane_depths,
    oldest_due_job,
    requests_since,
    roster_depth,
)
from worker.store.endpoints import Depth
from worker.store.engine import database_now
from worker.store.heartbeats import Loops, deliverers, loops
from worker.store.models import Heartbeat, Pause, Quarantine
from worker.store.outbox import DISABLED, ENABLED
from worker.store.webhook_models import Endpoint
from worker.telling.remote_records import SECOND, halt_record, lane_words, pause_record, quarantine_record, usage_record

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database says."""

    now: datetime
    lanes: Sequence[LaneDepth]
    oldest_due_job: int | None
    failed: dict[str, int]
    totals: BatchTotals
    aside: dict[str, Quarantine]
    pauses: Sequence[Pause]
    halts: Sequence[Halt]
    loops: Loops
    roster: RosterDepth
    deliverers: Sequence[Heartbeat]
    endpoints: Sequence[tuple[Endpoint, Depth]]
    requests: dict[str, int]


def status_record(verdict: Verdict, stored: Stored, fleet: Fleet, remotes: Sequence[Remote]) -> dict[str, Any]:
    totals = stored.totals
    ended = totals.succeeded + totals.failed + totals.superseded + totals.cancelled
    oldest = min((lane.oldest_due_at for lane in stored.lanes if lane.oldest_due_at), default=None)
    return {
        "verdict": verdict.words,
        "well": verdict.well,
        "remotes": [_remote(remote, stored, fleet.usages.get(remote.name)) for remote in remotes],
        "lanes": [_lane(lane, stored.now) for lane in stored.lanes],
        "oldestDue": oldest and {"job": format_job_id(stored.oldest_due_job or 0), "dueAt": oldest},
        "jobs": {
            "open": totals.accepted - ended,
            "succeeded": totals.succeeded,
            "failed": totals.failed,
            "superseded": totals.superseded,
            "cancelled": totals.cancelled,
        },
        "failed": [{"errorCode": code, "count": count} for code, count in stored.failed.items()],
        "batches": {"kept": totals.batches, "open": totals.open},
        "roster": {
            "eventsWaiting": stored.roster.waiting,
            "eventsHeld": stored.roster.held,
            "wantsHindered": stored.roster.hindered,
        },
        "broker": {"reachable": fleet.broker_error is None, "error": fleet.broker_error},
        "workers": list(fleet.workers),
        "processes": fleet.processes,
        "loops": [{"name": beat.name, "seenAt": beat.seen_at} for beat in stored.loops.beating],
        "webhooks": {
            "deliverers": [{"name": beat.name, "seenAt": beat.seen_at} for beat in stored.deliverers],
            "endpoints": dict(Counter(endpoint.state for endpoint, _ in stored.endpoints)),
            "pending": sum(depth.pending for _, depth in stored.endpoints),
            "dead": sum(depth.dead for _, depth in stored.endpoints),
        },
    }


def read_stored(session: Session, remotes: Sequence[Remote]) -> Stored:
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
        halts=halts.list_all(session),
        loops=loops(session),
        roster=roster_depth(session),
        deliverers=deliverers(session),
        endpoints=endpoints.with_depths(session),
        requests={remote.name: requests_since(session, remote.name, MINUTE, now) for remote in remotes},
    )


def situation_of(stored: Stored, fleet: Fleet, remotes: Sequence[Remote]) -> Situation:
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


def _remote(remote: Remote, stored: Stored, usage: Usage | None) -> dict[str, Any]:
    aside = stored.aside.get(remote.name)
    return {
        "remote": remote.name,
        "quarantine": aside and quarantine_record(aside),
        "pauses": [pause_record(pause, stored.now) for pause in stored.pauses if pause.remote == remote.name],
        "halts": [halt_record(halt) for halt in stored.halts if halt.remote == remote.name],
        **usage_record(usage),
        "maxInFlight": remote.max_in_flight,
        "requestsLastMinute": stored.requests[remote.name],
    }


def _lane(lane: LaneDepth, now: datetime) -> dict[str, Any]:
    return {
        "remote": lane.remote,
        "lane": str(lane.lane),
        "due": lane.due,
        "oldestDueSeconds": lane.oldest_due_at and (now - lane.oldest_due_at) / SECOND,
        "later": lane.later,
        "nextAt": lane.next_due_at,
        "published": lane.published,
        "running": lane.running,
    }


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
        halted=[lane_words(one.lane) for one in stored.halts if one.remote == name],
        cooldown=max([usage.cooldown if usage else timedelta(0), *asked]),
    )
