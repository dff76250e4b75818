"""The guard on targets: how many that are known a door's wishes would change, counted before anything is written."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from schemas.jobs import TargetUpdate, Wish
from schemas.names import profile_of
from worker.configuration.oversight import GuardOptions
from worker.core.acceptance import is_as_wished, microseconds
from worker.core.guard import GuardTripped, judge_targets, threshold
from worker.intake.patience import patiently
from worker.store import approvals, batches
from worker.store.acceptance import known_identities
from worker.store.engine import Database
from worker.store.known import count_targets, versions_of

DOOR = "targets"
_AT_ONCE = 500
_NOW = datetime.max.replace(tzinfo=UTC)
_OLDEST = -(1 << 63)


@dataclass(slots=True)
class TargetGuard:
    """Wishes are weighed as they are read. Of each profile up to twice as many are remembered as may change.

    So many it takes, since a later row for the same target may take an earlier one back.
    """

    database: Database
    limits: GuardOptions
    _unweighed: dict[str, TargetUpdate] = field(default_factory=dict)
    _changed: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _known: dict[str, int] = field(default_factory=dict)

    def is_needed(self, key: str | None) -> bool:
        """Not while few targets are known, nor for a batch that was let in before by its key."""
        with self.database.read() as session:
            few = count_targets(session, most=self.limits.floor + 1) <= self.limits.floor
            return not few and batches.find(session, key) is None

    def weigh(self, wish: Wish) -> None:
        if not isinstance(wish, TargetUpdate):
            return
        before = self._unweighed.get(wish.name)
        if before is None or _rank(wish) >= _rank(before):
            self._unweighed[wish.name] = wish
        if len(self._unweighed) == _AT_ONCE:
            self._look()

    def reason(self) -> str:
        """Why a person has to be asked; empty where nobody has."""
        self._look()
        for profile, known in sorted(self._known.items()):
            if reason := judge_targets(len(self._changed[profile]), known, self.limits):
                return f"{profile}: {reason}"
        return ""

    def stop(self, subject: str, digest: str, reason: str) -> None:
        """Raise ``GuardTripped``, unless a person has said yes to this content."""
        asked = approvals.Asked(DOOR, digest, subject, reason)
        approval_id = patiently(lambda: self._ask(asked))
        if approval_id is not None:
            raise GuardTripped(reason, approval_id)

    def is_approved(self, digest: str) -> bool:
        with self.database.read() as session:
            return approvals.is_approved(session, DOOR, digest)

    def _ask(self, asked: approvals.Asked) -> int | None:
        with self.database.write() as session:
            if approvals.is_approved(session, asked.door, asked.digest):
                return None
            return approvals.request(session, asked, self.limits.approval_lasts).id

    def _look(self) -> None:
        with self.database.read() as session:
            known = known_identities(session, sorted(self._unweighed))
            versions = versions_of(session, known)
        for name, there in known.items():
            wish = self._unweighed[name]
            if not (wish.as_of and microseconds(wish.as_of) < versions.get(name, _OLDEST)):  # else it is superseded
                self._count(name, changes=not is_as_wished(wish, there))
        self._unweighed.clear()

    def _count(self, name: str, *, changes: bool) -> None:
        """How many a profile has is only asked for once more than the floor of them would change."""
        profile = profile_of(name)
        changed = self._changed[profile]
        if profile not in self._known and len(changed) >= self.limits.floor:
            with self.database.read() as session:
                self._known[profile] = count_targets(session, prefix=f"{profile}/")
        if profile in self._known and len(changed) > 2 * threshold(self._known[profile], self.limits):
            return
        if changes:
            changed.add(hash(name))
        else:
            changed.discard(hash(name))  # a row before had another value


def _rank(wish: TargetUpdate) -> datetime:
    """Which of two wishes for a target stands: without a time it is from now."""
    return wish.as_of or _NOW
