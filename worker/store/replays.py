"""What a batch's rows became when they were first accepted: for a key that is offered again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from worker.core.acceptance import STALE, Fate, describe_difference
from worker.store.tables import jobs, rejections


@dataclass(frozen=True, slots=True)
class Earlier:
    """A row's first fate. ``wish_text`` is None for a row that was refused."""

    fate: Fate
    job_id: int | None = None
    wish_text: str | None = None
    field: str | None = None
    reason: str | None = None
    value: str | None = None


def find(session: Session, ids: Sequence[int]) -> dict[int, Earlier]:
    """The rows of a batch that were accepted or refused before, from the first of ``ids`` to the last."""
    accepted = select(jobs.c.id, jobs.c.wish, jobs.c.result, jobs.c.superseded_by).where(
        jobs.c.id.between(min(ids), max(ids))
    )
    refused = select(rejections).where(rejections.c.job_id.between(min(ids), max(ids)))
    found = {row.id: _accepted(row) for row in session.execute(accepted)}
    found |= {
        row.job_id: Earlier(_refusal(row.reason), field=row.field, reason=row.reason, value=row.value)
        for row in session.execute(refused)
    }
    return found


def difference(earlier: Earlier, wish_text: str | None) -> str:
    """What a row says now that it did not say then, in words; empty where it says the same."""
    if earlier.wish_text is None:
        return ""  # it was refused with its reason, and still is: the same key never accepts it later
    if wish_text is None:
        return "was a wish then, cannot be read now"
    return "" if earlier.wish_text == wish_text else describe_difference(earlier.wish_text, wish_text)


def _refusal(reason: str) -> Fate:
    return Fate.STALE if reason.startswith(STALE) else Fate.REFUSED


def _accepted(row: Any) -> Earlier:
    fate = Fate(row.result) if row.result in _AT_THE_DOOR else Fate.QUEUED
    return Earlier(fate, row.superseded_by if fate is Fate.REPEATED else row.id, row.wish)


_AT_THE_DOOR = frozenset((Fate.UNCHANGED, Fate.REPEATED, Fate.SUPERSEDED))  # other results came of calls
