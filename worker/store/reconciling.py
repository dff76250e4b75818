"""What a pass over a profile's targets reads and writes: where it is, what was wished, what it found."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, select, update
from sqlmodel import Session, col

from schemas.coaching import Target
from schemas.jobs import JobKind, JobState, TargetCreation, TargetUpdate
from schemas.names import profile_of, target_identity
from worker.core.acceptance import EPOCH
from worker.core.drift import Wished
from worker.store.bulk import insert_or_replace
from worker.store.engine import database_now
from worker.store.models import KnownTarget
from worker.store.oversight_models import Reconciliation
from worker.store.roster_models import Want
from worker.store.tables import agents, jobs, reconciliations, resources, targets
from worker.store.wants import ask_anew

LIST, GET = "list", "get"
IN_AT_ONCE = 500
_OPEN = (JobState.PENDING, JobState.RUNNING)
_LAST = "~"  # sorts after every character of an id


@dataclass(frozen=True, slots=True)
class Standing:
    """One target as we have it: the newest wish, by whom it is ordered, and what was known of it.

    ``open``: a job for it is under way, and nothing can be judged. ``wish`` is None where nobody has wished anything.
    """

    wish: TargetUpdate | None
    wished: Wished | None
    as_of: datetime | None
    known_at: datetime | None
    open: bool
    want: Want | None


def profiles_known(session: Session) -> list[str]:
    """All that we have anything to do with: by their agents, and by their targets, from name to name of the index."""
    found = set(session.execute(select(agents.c.profile).distinct()).scalars())
    after = ""
    while name := session.execute(
        select(targets.c.name).where(targets.c.name > after).order_by(targets.c.name).limit(1)
    ).scalar():
        found.add(profile_of(name))
        after = f"{profile_of(name)}/{_LAST}"
    return sorted(found)


def resume(session: Session, profile: str, remote: str) -> Reconciliation:
    """The pass that is under way, or a new one."""
    query = select(Reconciliation).where(
        col(Reconciliation.profile) == profile, col(Reconciliation.finished_at).is_(None)
    )
    newest = query.order_by(col(Reconciliation.id).desc()).limit(1)
    standing: Reconciliation | None = session.execute(newest).scalar_one_or_none()
    if standing is not None:
        return standing
    begun = Reconciliation(remote=remote, profile=profile, reads=LIST, started_at=database_now(session))
    session.add(begun)
    session.flush()
    return begun


def go_on(session: Session, run: Reconciliation, values: Mapping[str, Any]) -> bool:
    """Move a pass on from where ``run`` saw it; False where somebody else has done that meanwhile."""
    columns = reconciliations.c
    statement = (
        update(reconciliations)
        .where(columns.id == run.id, columns.page_token == run.page_token, columns.reads == run.reads)
        .where(columns.finished_at.is_(None))
        .values(dict(values))
        .returning(columns.id)
    )
    return session.execute(statement).first() is not None


def count(session: Session, run_id: int, more: Mapping[str, int]) -> None:
    columns = reconciliations.c
    added = {name: columns[name] + number for name, number in more.items()}
    session.execute(update(reconciliations).where(columns.id == run_id).values(added))


def mark_adopted(session: Session, job_ids: Collection[int]) -> None:
    """These wishes say what somebody else has set: they ended as they were accepted."""
    if job_ids:
        ended = and_(jobs.c.id.in_(sorted(job_ids)), jobs.c.state == JobState.SUCCEEDED)
        session.execute(update(jobs).where(ended).values(result="adopted"))


def last_passes(session: Session, limit: int) -> list[Reconciliation]:
    return list(session.execute(select(Reconciliation).order_by(col(Reconciliation.id).desc()).limit(limit)).scalars())


def standings(session: Session, names: Sequence[str]) -> dict[str, Standing]:
    """How we stand to each of these targets. Their resources are locked before, where something will be written."""
    known = {
        row.name: row for row in session.execute(select(KnownTarget).where(col(KnownTarget.name).in_(names))).scalars()
    }
    query = (
        select(resources.c.name, resources.c.version, jobs.c.kind, jobs.c.wish, jobs.c.state)
        .join_from(resources, jobs, jobs.c.id == resources.c.newest_job_id, isouter=True)
        .where(resources.c.name.in_(names))
    )
    newest = {row.name: row for row in session.execute(query)}
    busy = set(
        session.execute(select(jobs.c.resource).where(jobs.c.resource.in_(names), jobs.c.state.in_(_OPEN))).scalars()
    )
    wanted = _wants_for(session, known.values())
    return {name: _standing(name, newest.get(name), known.get(name), name in busy, wanted.get(name)) for name in names}


def keep_found(session: Session, found: Sequence[Target]) -> None:
    """The remote has shown these; no job has to do with it."""
    now = database_now(session)
    rows = [
        {
            "name": target.name,
            "scorecard_template_name": target.scorecard_template_name,
            "criterion_or_chapter_id": target.criterion_or_chapter_id,
            "target": target.target,
            "usecase_name": target.usecase_name,
            "coaching_plan_name": target.coaching_plan_name,
            "qa_score": target.qa_score,
            "update_time": target.update_time,
            "uncertain": False,
            "known_at": now,
            "job_id": None,
        }
        for target in sorted(found, key=lambda one: one.name)
    ]
    insert_or_replace(session, targets, rows)


def unseen(session: Session, profile: str, since: datetime, after: str) -> list[str]:
    """Some that a pass should have shown and has not: known from before it began, and no job is about to tell."""
    busy = exists().where(jobs.c.resource == targets.c.name, jobs.c.state.in_(_OPEN))
    query = (
        select(targets.c.name)
        .where(targets.c.name > (after or f"{profile}/"), targets.c.name < f"{profile}/{_LAST}")
        .where(targets.c.known_at < since, ~busy)
        .order_by(targets.c.name)
        .limit(IN_AT_ONCE)
    )
    return list(session.execute(query).scalars())


def next_known(session: Session, profile: str, after: str) -> str | None:
    """The next target that can be read one by one."""
    query = select(targets.c.name).where(
        targets.c.name > (after or f"{profile}/"), targets.c.name < f"{profile}/{_LAST}"
    )
    return session.execute(query.order_by(targets.c.name).limit(1)).scalar_one_or_none()


def forget_targets(session: Session, names: Collection[str]) -> None:
    """The remote does not have them any more. What was wished for them stays, and a want of one is asked for anew."""
    columns = targets.c
    here = columns.name.in_(sorted(names))
    identity = (
        columns.scorecard_template_name,
        columns.usecase_name,
        columns.criterion_or_chapter_id,
        columns.coaching_plan_name,
    )
    ask_anew(session, {target_identity(*row) for row in session.execute(select(*identity).where(here))})
    session.execute(delete(targets).where(here))


def _standing(name: str, newest: Any, known: KnownTarget | None, busy: bool, want: Want | None) -> Standing:  # noqa: FBT001 - a row's parts
    wish = _wish_of(name, newest) if newest is not None and newest.wish is not None else None
    return Standing(
        wish=wish,
        wished=_wished(wish, known) if wish else None,
        as_of=EPOCH + timedelta(microseconds=newest.version) if newest is not None else None,
        known_at=known.known_at if known else None,
        open=busy,
        want=want,
    )


def _wish_of(name: str, newest: Any) -> TargetUpdate:
    if newest.kind == JobKind.TARGET_UPDATE:
        return TargetUpdate.model_validate_json(newest.wish)
    created = TargetCreation.model_validate_json(newest.wish)
    return TargetUpdate(
        name=name,
        scorecard_template_name=created.scorecard_template_name,
        usecase_name=created.usecase_name,
        criterion_or_chapter_id=created.criterion_or_chapter_id,
        coaching_plan_name=created.coaching_plan_name,
        target=created.target,
    )


def _wished(wish: TargetUpdate, known: KnownTarget | None) -> Wished:
    return Wished(
        target=wish.target,
        qa_score=wish.qa_score,
        scorecard_template_name=wish.scorecard_template_name,
        usecase_name=wish.usecase_name,
        criterion_or_chapter_id=wish.criterion_or_chapter_id,
        coaching_plan_name=wish.coaching_plan_name,
        acknowledged=known.update_time if known and known.job_id is not None else None,
    )


def _wants_for(session: Session, known: Collection[KnownTarget]) -> dict[str, Want]:
    """The policy's want behind each known target, for its drift mode."""
    plans = {target.coaching_plan_name for target in known if target.coaching_plan_name}
    if not plans:
        return {}
    by_identity = {
        (want.scorecard_template_name, want.usecase_name, want.criterion_or_chapter_id, want.coaching_plan_name): want
        for want in session.execute(select(Want).where(col(Want.coaching_plan_name).in_(sorted(plans)))).scalars()
    }
    return dict(_matched(known, by_identity))


def _matched(
    known: Collection[KnownTarget], wanted: Mapping[tuple[str, str, str, str], Want]
) -> Iterator[tuple[str, Want]]:
    for target in known:
        identity = (
            target.scorecard_template_name,
            target.usecase_name,
            target.criterion_or_chapter_id,
            target.coaching_plan_name,
        )
        if want := wanted.get(identity):
            yield target.name, want
