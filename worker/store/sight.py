"""Whose things these are: what is told to somebody who may see some customers only."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select
from sqlmodel import Session

from schemas.ids import ROW_BITS
from worker.store.tables import agents, jobs, resources, targets


def of_customers(column: ColumnElement[Any], customers: Collection[str]) -> ColumnElement[bool]:
    """Resources, profiles or agents by their full names that belong to one of these customers."""
    prefixes = [f"customers/{customer}/" for customer in sorted(customers)]
    return or_(false(), *(func.substr(column, 1, len(prefix)) == prefix for prefix in prefixes))


def has_anything(session: Session, customer: str) -> bool:
    """Whether we have heard of this customer: by a wish, from the remote, or by the roster."""
    return any(
        session.execute(select(column).where(of_customers(column, [customer])).limit(1)).first()
        for column in (resources.c.name, targets.c.name, agents.c.profile)
    )


def batch_is_of(session: Session, batch_id: int, customers: Collection[str]) -> bool:
    """Whether all its jobs are these customers', and there are any: its figures tell of all of them."""
    within = and_(jobs.c.id > batch_id << ROW_BITS, jobs.c.id < (batch_id + 1) << ROW_BITS)
    others = select(jobs.c.id).where(within, not_(of_customers(jobs.c.resource, customers))).limit(1)
    if session.execute(others).first():
        return False
    return session.execute(select(jobs.c.id).where(within).limit(1)).first() is not None
