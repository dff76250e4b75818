"""What is known of targets and quotas: the remote's last word on each, and the wishes that stand against it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from worker.store.models import KnownTarget, QuotaAnswer, Resource
from worker.store.sight import of_customers
from worker.store.tables import quota_answers, resources, targets


@dataclass(frozen=True, slots=True)
class TargetFilter:
    """``prefix`` is what the names begin with."""

    prefix: str | None = None
    template: str | None = None
    plan: str | None = None
    uncertain: bool = False
    customers: frozenset[str] | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        columns = targets.c
        held: list[ColumnElement[bool]] = [columns.uncertain] if self.uncertain else []
        if self.prefix is not None:
            held.append(_begins_with(columns.name, self.prefix))
        if self.customers is not None:
            held.append(of_customers(columns.name, self.customers))
        if self.template is not None:
            held.append(columns.scorecard_template_name == self.template)
        if self.plan is not None:
            held.append(columns.coaching_plan_name == self.plan)
        return held


@dataclass(frozen=True, slots=True)
class CurrentQuota:
    """A resource's newest answer; the value before the present one, and since when the present one holds."""

    answer: QuotaAnswer
    previous: int | None
    changed_at: datetime


def list_targets(session: Session, chosen: TargetFilter, limit: int, after: str | None) -> list[KnownTarget]:
    query = select(KnownTarget).where(*chosen.conditions).order_by(col(KnownTarget.name)).limit(limit)
    if after is not None:
        query = query.where(col(KnownTarget.name) > after)
    return list(session.execute(query).scalars())


def count_targets(session: Session, *, prefix: str = "", most: int | None = None) -> int:
    """How many are known whose names begin so; no further than ``most``."""
    query = select(targets.c.name).limit(most)
    if prefix:
        query = query.where(_begins_with(targets.c.name, prefix))
    return int(session.execute(select(func.count()).select_from(query.subquery())).scalar_one())


def find_target(session: Session, name: str) -> KnownTarget | None:
    return session.get(KnownTarget, name)


def find_resource(session: Session, name: str) -> Resource | None:
    return session.get(Resource, name)


def versions_of(session: Session, names: Collection[str]) -> dict[str, int]:
    """The version of the newest accepted wish of each of these that has one."""
    query = select(resources.c.name, resources.c.version)
    accepted = query.where(resources.c.name.in_(sorted(names)), resources.c.newest_job_id != 0)
    return {row.name: row.version for row in session.execute(accepted)}


@dataclass(frozen=True, slots=True)
class QuotaFilter:
    """A template without revision stands for all of its revisions. ``after`` is a resource."""

    template: str | None = None
    usecase: str | None = None
    after: str | None = None
    customers: frozenset[str] | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        held = _quota_conditions(self.template, self.usecase)
        if self.after is not None:
            held.append(quota_answers.c.resource > self.after)
        if self.customers is not None:
            held.append(of_customers(quota_answers.c.resource, self.customers))
        return held


def list_quotas(session: Session, chosen: QuotaFilter, limit: int) -> list[CurrentQuota]:
    """The newest answer of each resource, by name."""
    return _current(session, chosen.conditions, limit)


def answers_of(session: Session, names: Collection[str]) -> dict[str, CurrentQuota]:
    """The newest answer of each of these resources that has one."""
    asked = quota_answers.c.resource.in_(sorted(names))
    return {one.answer.resource: one for one in _current(session, [asked], len(names))}


def _current(session: Session, conditions: Sequence[ColumnElement[bool]], limit: int) -> list[CurrentQuota]:
    """In two steps, each with a LIMIT: PostgreSQL would look for the other answer again for each row of the present."""
    columns = quota_answers.c
    newest = select(func.max(columns.id).label("id")).where(*conditions).group_by(columns.resource)
    page = newest.order_by(columns.resource).limit(limit).subquery()
    found = (
        select(quota_answers, _last_other().label("other_id"))
        .join(page, page.c.id == columns.id)
        .limit(limit)
        .subquery()
    )
    before, present = quota_answers.alias("before"), quota_answers.alias("present")
    previous = select(before.c.total_agent_quota).where(before.c.id == found.c.other_id).scalar_subquery()
    since = (
        select(func.min(present.c.answered_at))
        .where(present.c.resource == found.c.resource, present.c.id > func.coalesce(found.c.other_id, 0))
        .scalar_subquery()
    )
    answer = aliased(QuotaAnswer, found)
    query = select(answer, previous, since).order_by(found.c.resource)
    return [CurrentQuota(*row) for row in session.execute(query)]


def newest_quota(session: Session, resource: str) -> QuotaAnswer | None:
    query = select(QuotaAnswer).where(col(QuotaAnswer.resource) == resource).order_by(col(QuotaAnswer.id).desc())
    return session.execute(query.limit(1)).scalar_one_or_none()


def quota_history(
    session: Session,
    *,
    limit: int,
    resource: str | None = None,
    template: str | None = None,
    before: int | None = None,
) -> list[QuotaAnswer]:
    """Newest first, those under the id ``before``: of one resource, or of all that belong to a template."""
    query = select(QuotaAnswer).order_by(col(QuotaAnswer.id).desc()).limit(limit)
    if before is not None:
        query = query.where(col(QuotaAnswer.id) < before)
    if resource is not None:
        query = query.where(col(QuotaAnswer.resource) == resource)
    if template is not None:
        query = query.where(*_quota_conditions(template, None))
    return list(session.execute(query).scalars())


def quota_resources(session: Session, template: str, limit: int) -> list[str]:
    """All that was ever asked of a template with its revision: with usecase, period or override, or without."""
    name, whole = resources.c.name, f"{template}/quota"
    asked = select(name).where(or_(name == whole, _begins_with(name, f"{whole};")))
    return list(session.execute(asked.order_by(name).limit(limit)).scalars())


def _last_other() -> ScalarSelect[int]:
    """The id of the newest answer of the same resource that gave another quota.

    Ordered as its index is: by the id alone PostgreSQL goes back through the answers of all resources.
    """
    other = quota_answers.alias("other")
    same = other.c.resource == quota_answers.c.resource
    query = select(other.c.id).where(same, other.c.total_agent_quota != quota_answers.c.total_agent_quota)
    newest = query.order_by(other.c.resource.desc(), other.c.id.desc()).limit(1)
    return newest.correlate(quota_answers).scalar_subquery()


def _quota_conditions(template: str | None, usecase: str | None) -> list[ColumnElement[bool]]:
    columns, held = quota_answers.c, []
    if template is not None:
        revisions = _begins_with(columns.scorecard_template_name, f"{template}@")
        held.append(or_(columns.scorecard_template_name == template, revisions))
    if usecase is not None:
        held.append(columns.usecase_name == usecase)
    return held


def _begins_with(column: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """Not LIKE: on SQLite it takes capitals for small letters."""
    return func.substr(column, 1, len(prefix)) == prefix
