"""``coachsync quotas list`` and ``history``: the remote's answers, and when they changed."""

from contextlib import closing
from typing import Annotated

import typer

from schemas.names import USECASE
from worker.cli.filters import checked_if_given
from worker.cli.options import Json, Limit, open_runtime
from worker.cli.output import Output
from worker.store import known
from worker.store.known import QuotaFilter
from worker.telling.meaning import check_template, names_template
from worker.telling.records import current_quota_record, quota_record

COLUMNS = ("resource", "totalAgentQuota", "previous", "changedAt", "totalActiveAgentsCount", "answeredAt", "job")
HISTORY_COLUMNS = ("answeredAt", "totalAgentQuota", "totalActiveAgentsCount", "job", "resource")


def list_quotas(
    template: Annotated[
        str | None, typer.Option("--template", help="Of this template; without @revision of all.", metavar="NAME")
    ] = None,
    usecase: Annotated[str | None, typer.Option("--usecase", help="Of this usecase.", metavar="NAME")] = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List the newest answer for each quota, the value before it, and since when the present one holds.

    Example: coachsync quotas list --template customers/acme/profiles/support/scorecardTemplates/quality
    """
    output = Output(as_json)
    checked_if_given("--template", check_template, template, output)
    checked_if_given("--usecase", USECASE.check, usecase, output)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = known.list_quotas(session, QuotaFilter(template, usecase), limit)
    output.table(
        COLUMNS,
        map(current_quota_record, found),
        empty="no quota has been answered yet: coachsync quotas recalculate asks for one",
    )
    if len(found) == limit:
        output.note(f"the first {limit:,}; give a larger --limit, or a --template")


def quota_history(
    name: Annotated[
        str, typer.Argument(help="A template, or a quota as `quotas list` names it.", metavar="TEMPLATE_OR_RESOURCE")
    ],
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List the answers that one quota, or all quotas of one template, have had, newest first.

    Example: coachsync quotas history customers/acme/profiles/support/scorecardTemplates/quality@3
    """
    output = Output(as_json)
    template, resource = (name, None) if names_template(name) else (None, name)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = known.quota_history(session, limit=limit, template=template, resource=resource)
    if not found:
        output.fail(f"TEMPLATE_OR_RESOURCE: no answer is known for {name}; coachsync quotas list names those that are")
    output.table(HISTORY_COLUMNS, map(quota_record, found), empty="")
