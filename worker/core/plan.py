"""Pure: what applying a file would do, row by row, and what it would ask of the remote."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from schemas.ids import ROW_BITS, format_job_id
from schemas.jobs import TargetUpdate
from schemas.numbers import same_float32
from schemas.plans import PlanAction, PlanRow, SeenTarget
from worker.core.acceptance import (
    Acceptance,
    Accepted,
    Fate,
    KnownIdentity,
    Offer,
    Seen,
    Standing,
    identity_differences,
)
from worker.core.resolution import must_read

_STANDING = (Fate.QUEUED, Fate.UNCHANGED)
NOT_KNOWN = "not known yet: it is sent as it is, and fails if the remote has no such target"
IN_DOUBT = "an attempt since it was last seen may have changed it; it is sent whatever is there"
NOT_FOUND = "the remote has no such target"


@dataclass(frozen=True, slots=True)
class Requests:
    """``reads`` and ``writes`` of one row, or of many."""

    reads: int = 0
    writes: int = 0

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(self.reads + other.reads, self.writes + other.writes)


def planned_rows(
    acceptance: Acceptance, standings: Mapping[str, Standing], missing: Collection[str] = ()
) -> Iterator[PlanRow]:
    """``acceptance`` is what the door would do, given how the targets stand; ``missing`` the remote does not have."""
    last = {one.offer.wish.resource: one.offer.id for one in acceptance.accepted if one.fate in _STANDING}
    for accepted in acceptance.accepted:
        name = accepted.offer.wish.resource
        if accepted.fate in _STANDING and last[name] != accepted.offer.id:
            accepted = replace(accepted, fate=Fate.SUPERSEDED, by=last[name])  # noqa: PLW2901 - the later row counts
        yield _accepted(accepted, standings.get(name, Standing()), gone=name in missing)
    for refusal in acceptance.refused:
        yield _refused(refusal.offer, refusal.field, refusal.reason)


def wish_to_offer(row: PlanRow) -> TargetUpdate:
    """A change is only sent where the remote still has what the plan saw: it reads first."""
    assert row.wish is not None  # noqa: S101 - the plan was checked
    expected = _expected(row)
    return row.wish if expected is None else row.wish.model_copy(update={"expected": expected})


def seen_by(row: PlanRow) -> Seen | None:
    return None if row.repeated else Seen(_identity(row.known), row.accepted)


def requests_of(row: PlanRow) -> Requests:
    if row.action not in (PlanAction.CREATE, PlanAction.CHANGE):
        return Requests()
    reads = must_read(wish_to_offer(row), _identity(row.known))
    return Requests(int(reads), 1)


def _expected(row: PlanRow) -> float | None:
    """None where the wish says so itself, where nobody knows, and where what is there is no percentage."""
    known = row.known
    if row.action is not PlanAction.CHANGE or known is None or known.uncertain or row.wish is None:
        return None
    if row.wish.expected is not None or not 0 <= known.target <= 100:  # noqa: PLR2004 - percent
        return None
    return known.target


def _accepted(accepted: Accepted, standing: Standing, *, gone: bool) -> PlanRow:
    offer = accepted.offer
    match accepted.fate:
        case Fate.SUPERSEDED:
            return _row(offer, PlanAction.SUPERSEDED, standing, reason=f"{_by(accepted)} is newer")
        case Fate.REPEATED if _is_of_this_file(accepted):
            return _row(offer, PlanAction.SUPERSEDED, standing, reason=f"{_by(accepted)} has the same request key")
        case Fate.REPEATED:
            reason = f"its request key was accepted before, as {_by(accepted)}"
            return _row(offer, PlanAction.UNCHANGED, standing, reason=reason, repeated=True)
        case _ if gone:
            return _refused(offer, "name", NOT_FOUND)
        case Fate.UNCHANGED:
            return _row(offer, PlanAction.UNCHANGED, standing)
        case _:
            return _queued(offer, standing)


def _queued(offer: Offer, standing: Standing) -> PlanRow:
    known, wish = standing.known, offer.wish
    assert isinstance(wish, TargetUpdate)  # noqa: S101 - a plan is of target updates
    if known is None:
        return _row(offer, PlanAction.CREATE, standing, reason=NOT_KNOWN)
    if known.uncertain:
        return _row(offer, PlanAction.CHANGE, standing, reason=IN_DOUBT)
    if differing := identity_differences(wish, known):
        return _refused(offer, differing[0], f"the target is for something else: it differs in {', '.join(differing)}")
    if wish.expected is not None and not same_float32(wish.expected, known.target):
        return _refused(offer, "expected", f"the target has {known.target:.9g}, where {wish.expected:.9g} is expected")
    return _row(offer, PlanAction.CHANGE, standing)


def _by(accepted: Accepted) -> str:
    by = accepted.by or 0
    return f"row {by}" if _is_of_this_file(accepted) else f"job {format_job_id(by)}"


def _is_of_this_file(accepted: Accepted) -> bool:
    """An offer that is only foreseen has its row for an id; a job's has its batch before that."""
    return not (accepted.by or 0) >> ROW_BITS


def _row(
    offer: Offer, action: PlanAction, standing: Standing, *, reason: str | None = None, repeated: bool = False
) -> PlanRow:
    wish, known = offer.wish, standing.known
    assert isinstance(wish, TargetUpdate)  # noqa: S101 - a plan is of target updates
    return PlanRow(
        row=offer.id,
        line=offer.line,
        action=action,
        name=wish.name,
        before=known.target if known else None,
        after=wish.target,
        wish=wish,
        known=_seen(known) if known else None,
        accepted=standing.accepted,
        repeated=repeated,
        reason=reason,
    )


def _refused(offer: Offer, field: str, reason: str) -> PlanRow:
    return PlanRow(
        row=offer.id, line=offer.line, action=PlanAction.REFUSED, name=offer.wish.resource, field=field, reason=reason
    )


def _seen(known: KnownIdentity) -> SeenTarget:
    return SeenTarget(**{name: getattr(known, name) for name in SeenTarget.model_fields})


def _identity(seen: SeenTarget | None) -> KnownIdentity | None:
    return KnownIdentity(**seen.model_dump()) if seen else None


def total(requests: Iterable[Requests]) -> Requests:
    return sum(requests, Requests())
