"""Approvals are decided; messages are sent again, and secrets rotated."""

from sqlmodel import Session

from worker.console.action import Order, Prospect, Refused, Told
from worker.console.desk import Desk, number_of
from worker.console.pages_oversight import approval_seen
from worker.console.pages_webhooks import delivery_seen, endpoint_seen
from worker.counts import counted
from worker.intake.deciding import CannotDecide, decide_approval
from worker.store import endpoints, redriving, roster
from worker.telling.cells import cell
from worker.webhooks import signing
from worker.webhooks.setup import sealer_of


def look_at_decision(desk: Desk, session: Session, on: str) -> Prospect:
    approval = approval_seen(desk, session, number_of("approval", on))
    held = roster.count_held(session, approval.id)
    sentences = [f"{approval.subject}: {approval.reason}"]
    if held:
        sentences.append(f"{counted(held, 'event is', 'events are')} held for it.")
    why_not = None if approval.decided_at is None else f"it was {approval.state} by {approval.decided_by}"
    return Prospect(f"approval {approval.id}", f"/approvals/{approval.id}", tuple(sentences), why_not)


def approve(desk: Desk, order: Order) -> Told:
    return _decide(desk, order, approved=True)


def reject(desk: Desk, order: Order) -> Told:
    return _decide(desk, order, approved=False)


def look_at_replay(desk: Desk, session: Session, on: str) -> Prospect:
    delivery, message = delivery_seen(desk, session, number_of("delivery", on))
    sentences = (f"{message.type} goes to {delivery.endpoint_id} again, under the id it had: {message.id}.",)
    why_not = "it is about to be sent anyway" if delivery.state == "pending" else None
    return Prospect(f"delivery {on}", f"/deliveries/{on}", sentences, why_not)


def replay(desk: Desk, order: Order) -> Told:
    with desk.runtime.database.write() as session:
        delivery, _ = delivery_seen(desk, session, number_of("delivery", order.on))
        if not redriving.redrive(session, [delivery.id]):
            raise Refused("its endpoint is disabled or deleted, or it is about to be sent anyway")
    return Told("It will be sent again.")


def look_at_rotation(desk: Desk, session: Session, on: str) -> Prospect:
    endpoint = endpoint_seen(desk, session, on)
    overlap = desk.runtime.settings.webhooks.overlap
    sentences = (
        f"{endpoint.url} gets a new secret, which is shown once, on the next page.",
        f"For {overlap.total_seconds() / 3600:g} hours the old one signs beside it.",
    )
    return Prospect(f"endpoint {on}", f"/webhooks/{on}", sentences)


def rotate(desk: Desk, order: Order) -> Told:
    settings = desk.runtime.settings
    secret = signing.new_secret("v1", order.random_bytes)
    sealed = sealer_of(settings).seal(secret)
    with desk.runtime.database.write() as session:
        endpoint = endpoint_seen(desk, session, order.on)
        until = endpoints.rotate(session, endpoint.id, "v1", sealed, settings.webhooks.overlap)
    return Told(f"The old secret signs too until {cell(until)}.", signing.shown(secret))


def _decide(desk: Desk, order: Order, *, approved: bool) -> Told:
    with desk.runtime.database.write() as session:
        approval = approval_seen(desk, session, number_of("approval", order.on))
        try:
            events = decide_approval(session, approval.id, approved=approved, by=desk.viewer.name)
        except CannotDecide as error:
            raise Refused(str(error)) from None
    what = "Approved" if approved else "Rejected"
    became = "let in" if approved else "refused"
    return Told(f"{what}. {counted(events, 'held event was', 'held events were')} {became}." if events else f"{what}.")
