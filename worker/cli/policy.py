"""``coachsync policy``: show the rules, hold them against what is known, try them on events."""

import sys
from contextlib import closing
from typing import Annotated

import typer
from sqlmodel import Session

from schemas.names import customer_of
from schemas.policy import Policy, QuotaRule, TargetRule
from worker.cli.options import Json, open_runtime
from worker.cli.output import ExitCode, Output
from worker.cli.policy_records import (
    QUOTA_COLUMNS,
    TARGET_COLUMNS,
    finding_record,
    quota_rule_record,
    target_rule_record,
    tried_record,
    tried_words,
)
from worker.cli.policy_state import state_of
from worker.cli.policy_trial import Trial, try_events
from worker.configuration.remotes import NoRemote
from worker.configuration.settings import Settings
from worker.core.policy_check import Finding, Known, check_policy
from worker.counts import counted
from worker.intake.event_json import events_at_hand
from worker.intake.roster_events import EventsRefused
from worker.intake.source import source_for
from worker.store import policy_names

app = typer.Typer(help="The policy: show its rules, check them, try them on events.", no_args_is_help=True)
_SHOWN = 50
EventFiles = Annotated[
    list[str],
    typer.Option("--event", help="CloudEvents: one as JSON, an array, or one a line; - is stdin.", metavar="FILE"),
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="policy")


@app.command()
def show(as_json: Json = False) -> None:
    """Show the rules of coachsync.toml in their order, each with its line, and whether they are in force.

    Example: coachsync policy show
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        settings = runtime.settings
        state = state_of(session, settings.policy)
    quotas = [quota_rule_record(rule, _line(settings, "quotas", n)) for n, rule in enumerate(settings.policy.quotas)]
    targets = [
        target_rule_record(rule, _line(settings, "targets", n)) for n, rule in enumerate(settings.policy.targets)
    ]
    if as_json:
        output.json({"state": state, "quotas": quotas, "targets": targets})
        return
    output.say(f"{state}\n")
    output.table(QUOTA_COLUMNS, quotas, empty="no rule asks for quotas ([[policy.quotas]])")
    output.say("")
    output.table(TARGET_COLUMNS, targets, empty="no rule wants targets ([[policy.targets]])")


@app.command()
def check(as_json: Json = False) -> None:
    """Find rules that never count, that name what nobody knows, and those that overlap, with which goes first.

    They are held against the roster, the known targets and the remotes. Exit code 1 if something is wrong.

    Example: coachsync policy check
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        settings = runtime.settings
        findings = check_policy(settings.policy, _known(session, settings))
    wrong = sum(one.wrong for one in findings)
    records = [finding_record(one, _line_of(settings, one)) for one in findings]
    if as_json:
        output.json({"wrong": wrong, "findings": records})
    else:
        if records:
            output.table(("finding", "rule", "says", "line"), records, empty="")
        output.say(_verdict(settings.policy, wrong))
    raise typer.Exit(ExitCode.SOME_FAILED if wrong else ExitCode.DONE)


@app.command("test")
def try_on_events(event: EventFiles, as_json: Json = False) -> None:
    """Say what events would ask for and which rule asks it, by the policy of coachsync.toml. Nothing is written.

    They are folded onto the roster as it is now, one after another.

    Example: coachsync policy test --event joined.json
    """
    output = Output(as_json)
    at_hand = [one for name in event for one in events_at_hand(source_for(name, sys.stdin.buffer))]
    with closing(open_runtime(output)) as runtime:
        try:
            trial = try_events(runtime, [one.event for one in at_hand])
        except EventsRefused as refused:
            first = refused.errors[0]
            output.fail(f"{at_hand[first.index].place}: {first.field}: {first.reason}")
    if as_json:
        output.json(tried_record(trial))
    else:
        _tell(trial, output)


def _tell(trial: Trial, output: Output) -> None:
    for one in trial.events[:_SHOWN]:
        for line in tried_words(one):
            output.say(line)
    if len(trial.events) > _SHOWN:
        output.say(f"and {len(trial.events) - _SHOWN:,} more (--json has all)")
    asked = (
        f"{counted(trial.quota_jobs, 'quota')} would be asked for, {counted(trial.target_jobs, 'target')} set or made"
    )
    before = f"; {trial.duplicates:,} were told before and change nothing" if trial.duplicates else ""
    output.say(f"{counted(len(trial.events), 'event')}: {asked}{before}. Nothing was written.")
    if trial.stopped:
        output.note(f"the guard would stop them: {trial.stopped}")
    if not trial.in_force:
        output.note("this policy is not in force yet (coachsync policy show)")


def _known(session: Session, settings: Settings) -> Known:
    rules: list[QuotaRule | TargetRule] = [*settings.policy.quotas, *settings.policy.targets]
    remotes = {name: settings.remote_for(name) for name in {customer_of(rule.template) for rule in rules}}
    return Known(
        policy_names.agents_there(session),
        policy_names.target_names(session),
        policy_names.quota_names(session),
        {name: remote.message for name, remote in remotes.items() if isinstance(remote, NoRemote)},
    )


def _verdict(policy: Policy, wrong: int) -> str:
    rules = len(policy.quotas) + len(policy.targets)
    if not rules:
        return "The policy has no rules: nothing is asked for because of the roster ([[policy.quotas]])."
    if not wrong:
        return f"Nothing is wrong with the {counted(rules, 'rule')}."
    return "One thing is wrong." if wrong == 1 else f"{wrong:,} things are wrong."


def _line(settings: Settings, table: str, number: int) -> str | None:
    origin = settings.provenance.get(f"policy.{table}[{number}]")
    return str(origin) if origin else None


def _line_of(settings: Settings, finding: Finding) -> str | None:
    policy = settings.policy
    places = [("quotas", number, rule.name) for number, rule in enumerate(policy.quotas)]
    places += [("targets", number, rule.name) for number, rule in enumerate(policy.targets)]
    return next((_line(settings, table, number) for table, number, name in places if name == finding.rule), None)
