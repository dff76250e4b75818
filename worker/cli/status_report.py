"""What ``coachsync status`` prints for people."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from worker.cli.output import Output
from worker.core.durations import in_words
from worker.telling.cells import cell
from worker.telling.remote_records import lane_words, limits_words, seconds_words
from worker.telling.words import pause_words

LANE_COLUMNS = ("remote", "lane", "due", "oldest", "later", "nextAt", "published", "running")


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
    for halt in remote["halts"]:
        yield f"{name}: {lane_words(halt['lane'])} is paused by {halt['by']} since {cell(halt['since'])}"
    for pause in remote["pauses"]:
        yield pause_words(name, pause["lane"], pause["until"], timedelta(seconds=pause["secondsLeft"]))


def _lane_row(lane: Mapping[str, Any]) -> dict[str, Any]:
    oldest = lane["oldestDueSeconds"]
    return {**lane, "oldest": None if oldest is None else in_words(timedelta(seconds=oldest))}
