"""What ``coachsync status`` prints: one record, as JSON or as tables."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from api_adapter.rate_limit.permits import Usage
from schemas.ids import format_job_id
from worker.cli.fleet import Fleet
from worker.cli.output import Output, cell
from worker.cli.remote_records import (
    SECOND,
    limits_words,
    pause_record,
    quarantine_record,
    seconds_words,
    usage_record,
)
from worker.cli.words import pause_words
from worker.configuration.remotes import Remote
from worker.core.durations import in_words
from worker.core.verdict import Verdict
from worker.store.depths import BatchTotals, LaneDepth, RosterDepth
from worker.store.endpoints import Depth
from worker.store.heartbeats import Loops
from worker.store.models import Heartbeat, Pause, Quarantine
from worker.store.webhook_models import Endpoint

LANE_COLUMNS = ("remote", "lane", "due", "oldest", "later", "nextAt", "published", "running")


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


def show_status(record: Mapping[str, Any], output: Output) -> None:
    """For people; what is empty is left out."""
    output.say(record["verdict"])
    _show_remotes(record["remotes"], output)
    if record["lanes"]:
        output.say("")
        output.table(LANE_COLUMNS, map(_lane_row, record["lanes"]), empty="")
    if oldest := record["oldestDue"]:
        output.say(
            f"The oldest due job is {oldest['job']}, due at {cell(oldest['dueAt'])}: coachsync explain {oldest['job']}"
        )
    jobs, batches = record["jobs"], record["batches"]
    output.say("")
    output.say("Jobs: " + ", ".join(f"{count:,} {state}" for state, count in jobs.items()))
    if record["failed"]:
        output.say("Failed: " + ", ".join(f"{one['count']:,} {one['errorCode']}" for one in record["failed"]))
    output.say(f"Batches: {batches['open']:,} open of {batches['kept']:,}")
    if any(record["roster"].values()):
        output.say(_roster_line(record["roster"]))
    if record["webhooks"]["endpoints"]:
        output.say(_webhooks_line(record["webhooks"]))
    error = record["broker"]["error"]
    output.say("Broker: " + (f"cannot be reached: {error}" if error else "reachable"))
    output.say("Workers: " + (", ".join(record["workers"]) or ("unknown" if error else "none seen")))
    output.say("Loops: " + (", ".join(one["name"] for one in record["loops"]) or "none seen"))


def _webhooks_line(webhooks: Mapping[str, Any]) -> str:
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(webhooks["endpoints"].items()))
    senders = ", ".join(one["name"] for one in webhooks["deliverers"]) or "none seen"
    return (
        f"Webhooks: endpoints {states}; messages {webhooks['pending']:,} waiting, {webhooks['dead']:,} set aside;"
        f" deliverers {senders}"
    )


def _roster_line(roster: Mapping[str, int]) -> str:
    waiting, held, hindered = (roster[name] for name in ("eventsWaiting", "eventsHeld", "wantsHindered"))
    return f"Roster events: {waiting:,} waiting, {held:,} held; wanted targets with an obstacle: {hindered:,}"


def _show_remotes(remotes: Sequence[Mapping[str, Any]], output: Output) -> None:
    rows = [
        {
            "remote": remote["remote"],
            "limits": limits_words(remote["limits"]),
            "inFlight": "-" if remote["inFlight"] is None else f"{remote['inFlight']:,} of {remote['maxInFlight']:,}",
            "cooldown": seconds_words(remote["cooldownSeconds"]),
            "rate": "-" if remote["rateFactor"] is None else f"{remote['rateFactor']:.0%}",
            "lastMinute": remote["requestsLastMinute"],
        }
        for remote in remotes
    ]
    if rows:
        output.say("")
        output.table(tuple(rows[0]), rows, empty="")
    for remote in remotes:
        for line in _held_back(remote):
            output.say(line)


def _held_back(remote: Mapping[str, Any]) -> Iterator[str]:
    name = remote["remote"]
    if aside := remote["quarantine"]:
        yield (
            f"{name}: in quarantine since {cell(aside['since'])}: {aside['reason']};"
            f" next probe at {cell(aside['nextProbeAt'])}, {aside['probes']:,} sent so far"
        )
    for pause in remote["pauses"]:
        yield pause_words(name, pause["lane"], pause["until"], timedelta(seconds=pause["secondsLeft"]))


def _lane_row(lane: Mapping[str, Any]) -> dict[str, Any]:
    oldest = lane["oldestDueSeconds"]
    return {**lane, "oldest": None if oldest is None else in_words(timedelta(seconds=oldest))}


def _remote(remote: Remote, stored: Stored, usage: Usage | None) -> dict[str, Any]:
    aside = stored.aside.get(remote.name)
    return {
        "remote": remote.name,
        "quarantine": aside and quarantine_record(aside),
        "pauses": [pause_record(pause, stored.now) for pause in stored.pauses if pause.remote == remote.name],
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
