"""What a policy can be held against: the agents who are there, and what known targets and quotas are for."""

from sqlalchemy import select
from sqlmodel import Session

from schemas.roster import RosterAgent
from worker.core.policy_check import TargetNames
from worker.store.tables import agents, quota_answers, targets

_AT_ONCE = 1_000


def agents_there(session: Session) -> list[RosterAgent]:
    query = select(agents.c.record).where(agents.c.active).execution_options(yield_per=_AT_ONCE)
    return [RosterAgent.model_validate_json(record) for record in session.execute(query).scalars()]


def target_names(session: Session) -> set[TargetNames]:
    columns = targets.c
    query = select(columns.scorecard_template_name, columns.usecase_name, columns.criterion_or_chapter_id).distinct()
    return {TargetNames(*row) for row in session.execute(query)}


def quota_names(session: Session) -> set[TargetNames]:
    columns = quota_answers.c
    query = select(columns.scorecard_template_name, columns.usecase_name).distinct()
    return {TargetNames(template.partition("@")[0], usecase or "") for template, usecase in session.execute(query)}
