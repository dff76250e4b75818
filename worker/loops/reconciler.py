"""The reconciler compares what we want with what the remote has, page by page, and sees to the differences.

One step reads one page, in three parts: take the turn (commit), read, compare and go on (commit). Whoever dies in
between has changed nothing, and the turn is free again after a while. Steps keep apart by as much as the share of the
rate limit says.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlmodel import Session

from api_adapter.client import CoachingClient
from api_adapter.outcomes import Answered, Missing, Outcome, Refused, Unsupported
from api_adapter.rate_limit.permits import Permit
from schemas.coaching import Target, TargetPage
from schemas.ids import job_id
from schemas.jobs import TargetUpdate
from schemas.lanes import Lane
from schemas.names import customer_of
from schemas.policy import DriftMode
from worker.configuration.oversight import ReconcileOptions
from worker.configuration.remotes import NoRemote, Remote
from worker.core.acceptance import Offer
from worker.core.drift import Action, Finding, Kind, Modes, action_of, compare
from worker.exchanges import NoPermit, Read
from worker.intake.accept import canonical
from worker.log import get_logger
from worker.store import batches, cadences, drifts, reconciling, wants
from worker.store.acceptance import Page, accept_page, lock_resources
from worker.store.batches import NewBatch
from worker.store.cadences import listing_of
from worker.store.engine import Database, database_now
from worker.store.gate import look
from worker.store.oversight_models import Reconciliation
from worker.store.reconciling import GET, LIST, Standing
from worker.store.records import Worker, record_read

T = TypeVar("T")
SOURCE = "reconcile"
TURN_LASTS = timedelta(seconds=90)  # longer than the longest request: who is slower has lost its turn
LOOK_AGAIN = timedelta(seconds=5)
LONGEST_WAIT = timedelta(seconds=30)  # for a permit: a person may have ended the wait meanwhile, or raised the limit
LISTING = "targets "
AT_ONCE = 3  # profiles a round: each may wait for a whole request, and after two minutes a loop passes for stalled
FULL = 100  # percent: what lies outside of a percentage's bounds cannot be wished for
_log = get_logger(__name__)


class Reader(Protocol):
    """Sends one request to a remote, if the limiter lets it."""

    def __call__(self, remote: str, call: Callable[[CoachingClient, Permit], Any], /) -> Read[Any] | NoPermit: ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """Between pages: a wait, or the words for why there are no more."""

    message: str
    wait: timedelta


@dataclass(frozen=True, slots=True)
class _Step:
    """One page to read: of which pass, and since when its answer counts."""

    run: Reconciliation
    remote: Remote
    since: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """``gap_of`` is how far apart a remote's reads have to be to stay within the share of its limit."""

    database: Database
    options: ReconcileOptions
    remote_for: Callable[[str], Remote | NoRemote]
    read: Reader
    gap_of: Callable[[Remote], timedelta]
    worker: str

    def run_once(self) -> int:
        """One step for each of a few profiles that are due; returns the number of pages read."""
        with self.database.read() as session:
            names = set(map(listing_of, reconciling.profiles_known(session)))
            unknown = names - cadences.known(session, names)
        if unknown:
            with self.database.write() as session:
                cadences.make_known(session, unknown)
        return sum(self.step(profile) for profile in self.due()[:AT_ONCE])

    def due(self) -> list[str]:
        with self.database.read() as session:
            return [name.removeprefix(LISTING) for name in cadences.due(session, LISTING)]

    def step(self, profile: str) -> bool:
        """Read and compare one page, if it is this profile's turn and ours."""
        with self.database.write() as session:
            step = self._take(session, profile)
        if step is None:
            return False
        read = self.read(step.remote.name, self._call(step))
        with self.database.write() as session:
            if isinstance(read, NoPermit):
                cadences.postpone(session, listing_of(profile), min(read.retry_in, LONGEST_WAIT))
                return False
            record_read(session, read.tried, Worker(step.remote.name, self.worker))
            reconciling.count(session, step.run.id, {"requests": 1})
            self._go_on(session, step, read.outcome)
        return True

    def begin(self, profile: str) -> int:
        """Have the profile looked at now; returns the pass that does it."""
        with self.database.write() as session:
            cadences.hasten(session, [listing_of(profile)])
            remote = self.remote_for(customer_of(profile))
            return reconciling.resume(session, profile, "" if isinstance(remote, NoRemote) else remote.name).id

    def pages(self, profile: str, remote: Remote) -> Iterator[tuple[Target, ...] | Trouble]:
        """All that the remote has in a profile, page by page, without a word to anybody; as far as it can be read."""
        token, seen = "", {""}
        while True:
            read = self.read(remote.name, lambda client, permit: client.list_targets(permit, profile, token))  # noqa: B023 - called at once
            match read:
                case NoPermit(retry_in=wait):
                    yield Trouble("", wait)
                    continue
                case Read(outcome=Answered(value=TargetPage() as page)):
                    yield page.targets
                    token = page.next_page_token
                    if token in seen:
                        return
                    seen.add(token)
                    yield Trouble("", self.gap_of(remote))
                case Read(outcome=outcome):
                    yield Trouble(getattr(outcome, "message", "") or "it cannot be read", timedelta(0))
                    return

    def findings_of(self, found: Sequence[Target]) -> dict[str, tuple[Finding, ...]]:
        """What differs on a page, without a word to anybody."""
        with self.database.read() as session:
            standing = reconciling.standings(session, [target.name for target in found])
            return {name: findings for name, findings in self._compared(found, standing, None).items() if findings}

    def _take(self, session: Session, profile: str) -> _Step | None:
        name, remote = listing_of(profile), self.remote_for(customer_of(profile))
        if cadences.take_turn(session, name, TURN_LASTS) is None:
            return None
        if isinstance(remote, NoRemote):
            cadences.postpone(session, name, self.options.every)
            return None
        if look(session, remote.name, Lane.BULK).shut:
            cadences.postpone(session, name, LOOK_AGAIN)
            return None
        run = reconciling.resume(session, profile, remote.name)
        if run.reads == LIST:
            return _Step(run, remote, database_now(session))
        target = reconciling.next_known(session, profile, run.page_token)
        if target is None:
            self._finish(session, run, {})
            return None
        return _Step(run, remote, database_now(session), target)

    def _call(self, step: _Step) -> Callable[[CoachingClient, Permit], Any]:
        run = step.run
        if run.reads == GET:
            return lambda client, permit: client.get_target(permit, step.name)
        return lambda client, permit: client.list_targets(permit, run.profile, run.page_token)

    def _go_on(self, session: Session, step: _Step, outcome: Outcome[Any]) -> None:
        run, name = step.run, listing_of(step.run.profile)
        cadences.postpone(session, name, self.gap_of(step.remote))
        match outcome:
            case Answered(value=TargetPage() as page):
                self._take_page(session, step, page)
            case Answered(value=Target() as found):
                self._compare(session, step, [found], {"page_token": step.name})
            case Missing() if run.reads == GET:
                if reconciling.go_on(session, run, {"page_token": step.name}):
                    self._note_missing(session, run, [step.name], step.since)
            case Missing(message=message) | Unsupported(message=message) if run.reads == LIST:
                if reconciling.go_on(session, run, {"reads": GET, "page_token": ""}):
                    _log.warning("listing_unsupported", profile=run.profile, reason=message)
            case Refused(message=message) if run.page_token:  # the token has expired: from the beginning
                _log.warning("listing_begins_anew", profile=run.profile, reason=message)
                reconciling.go_on(session, run, {"page_token": ""})
            case Refused(message=message):
                self._finish(session, run, {"error": message})
            case _:
                reconciling.go_on(session, run, {"error": getattr(outcome, "message", "")})
                cadences.postpone(session, name, LOOK_AGAIN)

    def _take_page(self, session: Session, step: _Step, page: TargetPage) -> None:
        run = step.run
        if page.next_page_token == run.page_token and page.next_page_token:
            self._finish(session, run, {"error": "the remote names the same page as the next one again and again"})
        elif (
            self._compare(session, step, page.targets, {"page_token": page.next_page_token})
            and not page.next_page_token
        ):
            after = ""
            while gone := reconciling.unseen(session, run.profile, run.started_at, after):
                self._note_missing(session, run, gone, run.started_at)
                after = gone[-1]
            self._finish(session, run, {})

    def _compare(self, session: Session, step: _Step, found: Sequence[Target], cursor: dict[str, Any]) -> bool:
        """Everything that a page says, in one transaction with the cursor; False where somebody else was faster."""
        run, names = step.run, sorted(target.name for target in found)
        if not reconciling.go_on(session, run, cursor | {"error": None}):
            return False
        lock_resources(session, names)
        standing = reconciling.standings(session, names)
        findings = self._compared(found, standing, step.since)
        judged = [target for target in found if target.name in findings]
        reconciling.keep_found(session, [target for target in judged if _is_number(target)])
        resent, adopted = self._see_to(session, run, judged, findings, standing)
        new = drifts.note_drifts(session, run.id, findings, resent | adopted)
        counts = {"compared": len(judged), "found": new, "resent": len(resent), "adopted": len(adopted)}
        reconciling.count(session, run.id, counts)
        return True

    def _compared(
        self, found: Sequence[Target], standing: dict[str, Standing], since: datetime | None
    ) -> dict[str, tuple[Finding, ...]]:
        """The findings of each target that can be judged: nobody works on it, and nothing newer is known."""
        return {
            target.name: compare(one.wished, target, self._modes(one)) if one.wished else ()
            for target in found
            if not (one := standing[target.name]).open and not (since and one.known_at and one.known_at >= since)
        }

    def _modes(self, standing: Standing) -> Modes:
        target = self.options.target
        if standing.want and standing.want.drift:
            target = DriftMode(standing.want.drift)
        return Modes(target, self.options.qa_score)

    def _see_to(
        self,
        session: Session,
        run: Reconciliation,
        found: Sequence[Target],
        findings: dict[str, tuple[Finding, ...]],
        standing: dict[str, Standing],
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Re-send and adopt; returns the job of each target. A wish that is sent again has the order of the first."""
        wishes: list[tuple[Action, TargetUpdate]] = []
        for target in found:
            wish, as_of = standing[target.name].wish, standing[target.name].as_of
            match action_of(findings[target.name]):
                case Action.RESENT if wish:
                    again = wish.model_copy(update={"as_of": as_of, "request_key": None, "expected": None})
                    wishes.append((Action.RESENT, again))
                case Action.ADOPTED if wish and 0 <= target.target <= FULL:
                    wishes.append((Action.ADOPTED, _adopted(wish, target)))
                case _:
                    pass
        jobs = self._accept(session, run, [wish for _, wish in wishes])
        resent = {wish.name: jobs[wish.name] for action, wish in wishes if action is Action.RESENT}
        adopted = {wish.name: jobs[wish.name] for action, wish in wishes if action is Action.ADOPTED}
        reconciling.mark_adopted(session, adopted.values())
        return resent, adopted

    def _accept(self, session: Session, run: Reconciliation, wishes: Sequence[TargetUpdate]) -> dict[str, int]:
        if not wishes:
            return {}
        batch = batches.open_batch(session, NewBatch(SOURCE, Lane.BULK, f"pass {run.id} over {run.profile}"))
        offers = [Offer(job_id(batch.id, row), row, wish, canonical(wish)) for row, wish in enumerate(wishes, start=1)]
        accept_page(session, Page(batch.id, Lane.BULK, offers), lambda _: run.remote)
        batches.seal(session, batch.id)
        return {offer.wish.resource: offer.id for offer in offers}

    def _note_missing(self, session: Session, run: Reconciliation, names: Sequence[str], since: datetime) -> None:
        """The remote had them no more at ``since``. A want that makes them asks anew; else a person looks."""
        lock_resources(session, names)
        gone = {
            name: one
            for name, one in reconciling.standings(session, names).items()
            if not one.open and one.known_at and one.known_at < since
        }
        enforced = {name for name, one in gone.items() if self._makes_again(one)}
        findings = {
            name: (Finding("name", Kind.MISSING, name, "", Action.RESENT if name in enforced else Action.OBSERVED),)
            for name, one in gone.items()
            if one.wished or one.want
        }
        new = drifts.note_drifts(session, run.id, findings, {})
        reconciling.count(session, run.id, {"found": new})
        reconciling.forget_targets(session, enforced)

    def _makes_again(self, standing: Standing) -> bool:
        want = standing.want
        return want is not None and want.creates and self._modes(standing).target is DriftMode.ENFORCE

    def _finish(self, session: Session, run: Reconciliation, values: dict[str, Any]) -> None:
        """The pass is over. The next one comes the later, the less there was to find."""
        run = session.get_one(Reconciliation, run.id, populate_existing=True)
        if not reconciling.go_on(session, run, {"finished_at": database_now(session), "error": None, **values}):
            return
        wants.clear_obstacles(session, run.profile)
        cadence = listing_of(run.profile)
        every = self._every(run.profile)
        pause = every if run.found else cadences.slower(session, cadence, every, self.options.at_most)
        cadences.set_next(session, cadence, pause)
        _log.info("profile_reconciled", profile=run.profile, compared=run.compared, found=run.found, resent=run.resent)

    def _every(self, profile: str) -> timedelta:
        """The pace of its most hurried usecase."""
        paces = [pace for usecase, pace in self.options.usecases.items() if usecase.startswith(f"{profile}/")]
        return min([self.options.every, *paces])


def _adopted(wish: TargetUpdate, found: Target) -> TargetUpdate:
    """What somebody else has set is what we want from now on."""
    return TargetUpdate(
        name=wish.name,
        scorecard_template_name=wish.scorecard_template_name,
        usecase_name=wish.usecase_name,
        criterion_or_chapter_id=wish.criterion_or_chapter_id,
        coaching_plan_name=wish.coaching_plan_name,
        target=found.target,
        qa_score=None if wish.qa_score is None else found.qa_score or 0.0,
    )


def _is_number(target: Target) -> bool:
    """A remote may answer NaN or 1e400: no database keeps that."""
    return all(abs(value) < float("inf") for value in (target.target, target.qa_score or 0.0))
