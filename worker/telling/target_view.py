"""One target as it is known, beside what was wished for it last."""

from sqlmodel import Session

from schemas.jobs import TargetUpdate
from schemas.numbers import same_float32
from worker.core.acceptance import KnownIdentity, identity_differences
from worker.store.acceptance import known_identities
from worker.store.known import find_resource, find_target
from worker.store.listing import find_job
from worker.store.models import Job
from worker.telling.records import Fields, job_record, target_record
from worker.telling.words import reason_words


def target_view(session: Session, name: str) -> Fields | None:
    """None where nothing is known of it, and nothing was ever wished for it."""
    known, resource = find_target(session, name), find_resource(session, name)
    if not (known or resource):
        return None
    wish = find_job(session, resource.newest_job_id) if resource else None
    differences = _differences(known_identities(session, [name]).get(name), wish)
    return {
        "known": target_record(known) if known else None,
        "newestWish": job_record(wish) | {"why": reason_words(wish)} if wish else None,
        "differs": None if differences is None else bool(differences),
        "differences": differences,
    }


def _differences(known: KnownIdentity | None, wish: Job | None) -> tuple[str, ...] | None:
    """None where nobody can say: never seen, perhaps changed since, or the wish is no longer kept."""
    if known is None or known.uncertain or wish is None:
        return None
    wished = TargetUpdate.model_validate_json(wish.wish)
    differing = [*identity_differences(wished, known)]
    if not same_float32(wished.target, known.target):
        differing.append("target")
    if wished.qa_score is not None and not same_float32(wished.qa_score, known.qa_score or 0.0):
        differing.append("qaScore")
    return tuple(differing)
