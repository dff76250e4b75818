"""Wants become wishes: by name where the target is known, as a creation where it is known not to be there."""

from sqlmodel import Session

from schemas.jobs import TargetCreation, TargetUpdate
from schemas.names import profile_of
from worker.core.naming import Obstacle, wish_or_obstacle
from worker.planning.placing import Placing
from worker.store import asks, cadences, naming, wants


def ask(session: Session, placing: Placing) -> int:
    """A page of wants that are no wishes yet; returns their number. Each becomes one, or has an obstacle after it."""
    some = wants.unasked(session)
    known = naming.known_of(session, [one.want for one in some], placing.source)
    wishes: dict[str, TargetUpdate | TargetCreation] = {}
    obstacles: dict[str, Obstacle] = {}
    for one in some:
        identity = one.want.identity
        unserved = placing.unserved(identity)
        match Obstacle(unserved) if unserved else wish_or_obstacle(one.want, one.wanted_at, known[identity]):
            case Obstacle() as obstacle:
                obstacles[identity] = obstacle
            case wish:
                wishes[identity] = wish
    placed = placing.place(session, wishes.values(), "what the policy wants")
    asked = {identity: placed.jobs[wish.resource] for identity, wish in wishes.items() if wish.resource in placed.jobs}
    refused = {identity: placed.refused[wish.resource] for identity, wish in wishes.items() if identity not in asked}
    wants.mark_asked(session, asked)
    asks.answer(session, asked)
    wants.mark_hindered(session, refused | {identity: one.words for identity, one in obstacles.items()})
    _have_listed(session, {profile_of(identity) for identity, one in obstacles.items() if one.until_listed})
    return len(some)


def _have_listed(session: Session, profiles: set[str]) -> None:
    """Soon, unless a listing is under way: it keeps its pace, and the next one comes when it is through."""
    cadences.hasten(session, map(cadences.listing_of, profiles - naming.under_way(session, profiles)))
