"""A plan for people: how many rows of each kind, the first of those that matter, and what it would take."""

from datetime import timedelta
from pathlib import Path

from schemas.plans import Plan, PlanAction, PlanRow, RemoteForecast
from worker.cli.output import Output
from worker.core.durations import in_words
from worker.counts import counted
from worker.telling.records import Fields

SHOWN = 20
_WORDS = {
    PlanAction.CREATE: "create",
    PlanAction.CHANGE: "change",
    PlanAction.UNCHANGED: "unchanged",
    PlanAction.SUPERSEDED: "superseded by a newer wish",
    PlanAction.REFUSED: "refused",
}
_COLUMNS = {
    PlanAction.CREATE: ("line", "name", "to", "reason"),
    PlanAction.CHANGE: ("line", "name", "from", "to", "reason"),
    PlanAction.REFUSED: ("line", "name", "field", "reason"),
}


def tell_plan(plan: Plan, out: Path | None, output: Output) -> None:
    as_of = "as the remote showed it just now" if plan.refreshed else "as it is known here (--refresh asks the remote)"
    output.say(f"Plan of {plan.file}, {counted(len(plan.rows), 'row')}, judged by what is there {as_of}")
    output.say("  " + " · ".join(f"{plan.counts.get(action, 0):,} {words}" for action, words in _WORDS.items()))
    for action, columns in _COLUMNS.items():
        _tell_rows(plan, action, columns, output)
    output.say("")
    for one in plan.forecast:
        output.say(forecast_words(one))
    if not plan.seconds:
        output.say("Nothing would be sent.")
    elif out:
        output.say(f"Apply it: coachsync targets apply {out}")


def forecast_words(one: RemoteForecast) -> str:
    requests = counted(one.reads + one.writes, "request")
    kinds = f"{counted(one.reads, 'read')}, {counted(one.writes, 'write')}"
    ahead = (
        f", behind {counted(one.jobs_ahead, 'job that waits', 'jobs that wait')} there already"
        if one.jobs_ahead
        else ""
    )
    takes = in_words(timedelta(seconds=one.seconds))
    return f"{requests} to {one.remote} ({kinds}), about {takes} under its limit of {one.rate_limit}{ahead}"


def _tell_rows(plan: Plan, action: PlanAction, columns: tuple[str, ...], output: Output) -> None:
    rows = [row for row in plan.rows if row.action is action]
    if not rows:
        return
    shown = [_fields(row) for row in rows[:SHOWN]]
    used = [name for name in columns if any(row[name] is not None for row in shown)]
    output.say(f"\n{_WORDS[action]}:")
    output.table(used, shown, empty="")
    if len(rows) > SHOWN:
        output.say(f"and {len(rows) - SHOWN:,} more; the plan's file has all (-o), and so has --json")


def _fields(row: PlanRow) -> Fields:
    shown = row.model_dump(by_alias=True, include={"line", "name", "before", "after", "field", "reason"})
    return {name: value if value != "" else None for name, value in shown.items()}
