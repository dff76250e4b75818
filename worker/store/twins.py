"""Targets that are known to be what a creation would create: with them there is nothing left to create."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, tuple_
from sqlmodel import Session

from schemas.jobs import TargetCreation
from schemas.names import target_identity
from worker.store.tables import targets


@dataclass(frozen=True, slots=True)
class Twin:
    """``target`` is the value seen last; ``uncertain``: an attempt since then may have changed it."""

    name: str
    target: float
    uncertain: bool


def twins_of(session: Session, wishes: Collection[TargetCreation]) -> dict[str, Twin]:
    """By the wish's resource; of several targets for the same, the first by name."""
    if not wishes:
        return {}
    columns = targets.c
    identity = (
        columns.scorecard_template_name,
        columns.usecase_name,
        columns.criterion_or_chapter_id,
        columns.coaching_plan_name,
    )
    meant = [
        (one.scorecard_template_name, one.usecase_name, one.criterion_or_chapter_id, one.coaching_plan_name)
        for one in wishes
    ]
    plans, templates = sorted({one[3] for one in meant}), sorted({one[0] for one in meant})
    indexed = columns.coaching_plan_name.in_(plans), columns.scorecard_template_name.in_(templates)  # SQLite needs them
    query = select(*identity, columns.name, columns.target, columns.uncertain)
    found = query.where(*indexed, tuple_(*identity).in_(meant)).order_by(columns.name.desc())
    return {target_identity(*row[:4]): Twin(*row[4:]) for row in session.execute(found)}
