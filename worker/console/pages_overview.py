"""The first page: is it well, in one sentence; then what there is to do, and what stands in the way."""

from datetime import timedelta
from typing import Any

from sqlmodel import Session

from api_adapter.rate_limit.policy import parse_rate_limit
from worker.configuration.remotes import Remote
from worker.console.desk import Desk, NotThere, Page
from worker.console.pages_work import batch_facts, visible_batches
from worker.console.plot import Plot, share_plot
from worker.core.verdict import judge
from worker.loops.dispatcher import slowest_rate
from worker.store import approvals, drifts, remotes
from worker.store.engine import database_now
from worker.store.heartbeats import LATELY, seen_within
from worker.store.insight import Span, requests_over_time
from worker.telling.remote_records import remote_record
from worker.telling.status import read_stored, situation_of, status_record

BUCKET, BUCKETS = timedelta(minutes=2), 30
NEWEST_BATCHES = 6
MOST_DRAWN = 4


def overview(desk: Desk, session: Session) -> Page:
    return Page("overview.html", "Overview", _facts(desk, session))


def overview_live(desk: Desk, session: Session) -> Page:
    return Page("_overview.html", "Overview", _facts(desk, session))


def list_remotes(desk: Desk, session: Session) -> Page:
    return Page("remotes.html", "Remotes", {"remotes": remote_records(desk, session)})


def show_remote(desk: Desk, session: Session) -> Page:
    name = desk.path["name"]
    found = next((one for one in remote_records(desk, session) if one["remote"] == name), None)
    if found is None:
        raise NotThere(f"There is no remote {name[:60]!r}.")
    remote = _named(desk).get(name)
    plot = _plot(session, remote) if remote else None
    return Page("remote.html", f"Remote {name}", {"remote": found, "plot": plot})


def remote_records(desk: Desk, session: Session) -> list[dict[str, Any]]:
    """Of those that this viewer may see: who sees some customers only sees the remotes that are theirs alone."""
    named, usages = _named(desk), desk.fleet.latest().usages
    standings = remotes.standings(session, named)
    return [
        remote_record(one, named.get(one.name), usages.get(one.name))
        for one in standings
        if desk.viewer.sees_all or one.name in named
    ]


def _facts(desk: Desk, session: Session) -> dict[str, Any]:
    now = database_now(session)
    shown = list(_named(desk).values())
    facts: dict[str, Any] = {
        "now": now,
        "plots": [(remote.name, _plot(session, remote)) for remote in shown[:MOST_DRAWN]],
        "batches": [batch_facts(one, now) for one in visible_batches(desk, session, limit=NEWEST_BATCHES)],
        "beats": seen_within(session, LATELY),
    }
    if not desk.viewer.sees_all:
        return facts
    fleet = desk.fleet.latest()
    stored = read_stored(session, shown)
    situation = situation_of(stored, fleet, shown)
    return facts | {
        "status": status_record(judge(situation), stored, fleet, shown),
        "waiting_approvals": approvals.count_waiting(session),
        "open_drifts": drifts.count_open(session),
    }


def _named(desk: Desk) -> dict[str, Remote]:
    every = {remote.name: remote for remote in desk.runtime.settings.all_remotes}
    return {name: one for name, one in every.items() if desk.viewer.sees_each(one.customers)}


def _plot(session: Session, remote: Remote) -> Plot:
    span = Span(database_now(session).replace(second=0, microsecond=0) + timedelta(minutes=1), BUCKET, BUCKETS)
    most = slowest_rate(parse_rate_limit(remote.rate_limit)) * BUCKET.total_seconds()
    return share_plot(requests_over_time(session, remote.name, span), BUCKET, most)
