"""``coachsync targets list`` and ``show``: what is known of targets, and whether that is what was wished."""

from contextlib import closing
from typing import Annotated

import typer

from schemas.jobs import TargetUpdate
from schemas.names import COACHING_PLAN, PROFILE, SCORECARD_TEMPLATE, TARGET
from schemas.numbers import same_float32
from worker.cli.filters import checked, checked_if_given
from worker.cli.options import Json, Limit, open_runtime
from worker.cli.output import Output
from worker.core.acceptance import KnownIdentity, identity_differences
from worker.store.acceptance import known_identities
from worker.store.known import TargetFilter, find_resource, find_target
from worker.store.known import list_targets as known_targets
from worker.store.listing import find_job
from worker.store.models import Job, KnownTarget
from worker.telling.records import job_record, only, target_record
from worker.telling.words import reason_words

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
        known, resource = find_target(session, name), find_resource(session, name)
        wish = find_job(session, resource.newest_job_id) if resource else None
        identity = known_identities(session, [name]).get(name)
    if not (known or resource):
        output.fail(f"NAME: nothing is known of {name}, and nothing was ever wished for it (coachsync targets list)")
    _show(output, known, wish, _differences(identity, wish))


def _show(output: Output, known: KnownTarget | None, wish: Job | None, differences: tuple[str, ...] | None) -> None:
    shown = target_record(known) if known else None
    wished = job_record(wish) | {"why": reason_words(wish)} if wish else None
    if output.as_json:
        differs = None if differences is None else bool(differences)
        output.json({"known": shown, "newestWish": wished, "differs": differs, "differences": differences})
        return
    output.record(shown or {"known": "not yet: the remote has not shown it to us"})
    if wished:
        output.say("\nThe newest accepted wish:")
        output.record({**only(wished, "job", "createdAt", "state", "why"), "target": wished["wish"]["target"]})
    output.say("")
    output.say(_difference_words(differences))


def _difference_words(differences: tuple[str, ...] | None) -> str:
    if differences is None:
        return "Whether the remote has what was wished is not certain."
    if differences:
        return f"The remote was last seen with something else than was wished in {', '.join(differences)}."
    return "The remote was last seen with what was wished."


def _differences(known: KnownIdentity | None, wish: Job | None) -> tuple[str, ...] | None:
    """None where nobody can say: never seen, perhaps changed since, or the wish is no longer kept."""
    if known is None or known.uncertain or wish is None:
        return None
    wished = TargetUpdate.model_validate_json(wish.wish)
    differing = [*identity_differences(wished, known)]
    if not same_float32(wished.target, known.target):
        differing.append("target")
    if wished.qa_score is not None and not same_float32(wished.qa_score, known.qa_score or 0.0):
        differing.append("qaScore")
    return tuple(differing)


def _customer_prefix(customer: str) -> str:
    PROFILE.check(f"customers/{customer}/profiles/any")
    return f"customers/{customer}/"
