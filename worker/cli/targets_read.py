"""``coachsync targets list`` and ``show``: what is known of targets, and whether that is what was wished."""

from contextlib import closing
from typing import Annotated

import typer

from schemas.names import COACHING_PLAN, PROFILE, SCORECARD_TEMPLATE, TARGET
from worker.cli.filters import checked, checked_if_given
from worker.cli.options import Json, Limit, open_runtime
from worker.cli.output import Output
from worker.store.known import TargetFilter
from worker.store.known import list_targets as known_targets
from worker.telling.records import Fields, only, target_record
from worker.telling.target_view import target_view

COLUMNS = ("name", "target", "uncertain", "knownAt", "job", "scorecardTemplateName", "coachingPlanName")


def list_targets(
    customer: Annotated[str | None, typer.Option("--customer", help="Of this customer.", metavar="ID")] = None,
    template: Annotated[str | None, typer.Option("--template", help="Of this template.", metavar="NAME")] = None,
    plan: Annotated[str | None, typer.Option("--plan", help="Of this coaching plan.", metavar="NAME")] = None,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Only those that an unanswered attempt may have changed.")
    ] = False,
    limit: Limit = 100,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this target.", metavar="NAME")] = None,
    as_json: Json = False,
) -> None:
    """List the targets that the remote has shown us, by name, with the value it showed last.

    Example: coachsync targets list --customer acme --uncertain
    """
    output = Output(as_json)
    chosen = TargetFilter(
        prefix=checked_if_given("--customer", _customer_prefix, customer, output),
        template=checked_if_given("--template", SCORECARD_TEMPLATE.check, template, output),
        plan=checked_if_given("--plan", COACHING_PLAN.check, plan, output),
        uncertain=uncertain,
    )
    checked_if_given("--after", TARGET.check, after, output)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = known_targets(session, chosen, limit, after)
    output.table(COLUMNS, map(target_record, found), empty="no such target is known: the remote has shown us none")
    if len(found) == limit:
        output.note(f"the first {limit:,}; for more: --after {found[-1].name}")


def show_target(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: Json = False) -> None:
    """Show one target: its last known value, the newest accepted wish for it, and in what they differ.

    Example: coachsync targets show customers/acme/profiles/support/targets/t-17
    """
    output = Output(as_json)
    checked("NAME", TARGET.check, name, output)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        view = target_view(session, name)
    if view is None:
        output.fail(f"NAME: nothing is known of {name}, and nothing was ever wished for it (coachsync targets list)")
    _show(output, view)


def _show(output: Output, view: Fields) -> None:
    if output.as_json:
        output.json(view)
        return
    output.record(view["known"] or {"known": "not yet: the remote has not shown it to us"})
    if wished := view["newestWish"]:
        output.say("\nThe newest accepted wish:")
        output.record({**only(wished, "job", "createdAt", "state", "why"), "target": wished["wish"]["target"]})
    output.say("")
    output.say(_difference_words(view["differences"]))


def _difference_words(differences: tuple[str, ...] | None) -> str:
    if differences is None:
        return "Whether the remote has what was wished is not certain."
    if differences:
        return f"The remote was last seen with something else than was wished in {', '.join(differences)}."
    return "The remote was last seen with what was wished."


def _customer_prefix(customer: str) -> str:
    PROFILE.check(f"customers/{customer}/profiles/any")
    return f"customers/{customer}/"
