"""What the outside world was told long ago is deleted, with how each delivery went."""

from datetime import datetime

from sqlalchemy import delete, exists, or_, select
from sqlmodel import Session

from worker.store.endpoints import set_aside_pending
from worker.store.outbox import DELETED, PENDING, is_in
from worker.store.tables import deliveries, delivery_attempts, endpoints, messages

AT_ONCE = 1_000  # messages; each has a delivery an endpoint, and each of those up to ten attempts


def prune_webhooks(session: Session, before: datetime) -> int:
    """A portion; returns the messages and deliveries deleted. A message stays while one of its deliveries is young."""
    _set_aside_late_ones(session)
    columns = deliveries.c
    young = exists().where(
        columns.message_seq == messages.c.seq, or_(columns.finished_at.is_(None), columns.finished_at >= before)
    )
    old = select(messages.c.seq).where(messages.c.created_at < before, ~young).order_by(messages.c.created_at)
    seqs = session.execute(old.limit(AT_ONCE)).scalars().all()
    if not seqs:
        return 0
    gone = delete(deliveries).where(columns.message_seq.in_(seqs), columns.finished_at < before).returning(columns.id)
    ids = session.execute(gone).scalars().all()
    session.execute(delete(delivery_attempts).where(delivery_attempts.c.delivery_id.in_(ids)))
    alone = ~exists().where(columns.message_seq == messages.c.seq)  # one may just have been sent anew
    told = delete(messages).where(messages.c.seq.in_(seqs), alone).returning(messages.c.seq)
    return len(session.execute(told).all()) + len(ids)


def _set_aside_late_ones(session: Session) -> None:
    """Something may have been told while an endpoint was being deleted, and be addressed to it."""
    late = exists().where(deliveries.c.endpoint_id == endpoints.c.id, is_in(deliveries, PENDING))
    for name in session.execute(select(endpoints.c.id).where(endpoints.c.state == DELETED, late)).scalars().all():
        set_aside_pending(session, name, "the endpoint was deleted")
