"""The policy of the settings comes into force, unless it changes so much that a person has to say so."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from schemas.policy import Policy
from worker.configuration.oversight import GuardOptions
from worker.core.guard import judge_share
from worker.core.policy import policy_digest
from worker.core.wants import count_changed
from worker.log import get_logger
from worker.planning.weighing import wanted_of
from worker.store import approvals, policies, wants
from worker.store.engine import database_now

DOOR = "policy"
SUBJECT = "the policy of coachsync.toml"
_log = get_logger(__name__)


@dataclass(slots=True)
class Adoption:
    """``read_at`` is when these settings were read: a policy that came into force later is of newer ones."""

    policy: Policy
    guard: GuardOptions
    digest: str = field(init=False)
    read_at: datetime | None = None

    def __post_init__(self) -> None:
        self.digest = policy_digest(self.policy)

    def is_called_for(self, session: Session) -> bool:
        self.read_at = self.read_at or database_now(session)
        force = policies.in_force(session)
        if force and (force.digest == self.digest or force.since > self.read_at):
            return False
        known = policies.find(session, self.digest)
        asked = approvals.find(session, known.approval_id) if known and known.approval_id else None
        return asked is None or asked.state == approvals.APPROVED or asked.expires_at <= database_now(session)

    def objection(self, session: Session) -> str | None:
        """Why a person has to be asked. All that is wanted is weighed by the new policy: that takes its time."""
        if approvals.is_approved(session, DOOR, self.digest):
            return None
        changed = known = 0
        now, after = database_now(session), ""
        while before := wants.page_after(session, after):
            after = max(before)
            plans = {want.coaching_plan_name for want in before.values()}
            wanted = wanted_of(session, plans, self.policy, now, now)
            known += len(before)
            changed += count_changed(before, wanted)
        return judge_share(changed, known, "wanted targets would change or be wanted no more", self.guard)

    def settle(self, session: Session, objection: str | None) -> bool:
        """Whether it is in force from now on; else a person is asked."""
        row = policies.remember(session, self.digest, self.policy)
        if objection and not approvals.is_approved(session, DOOR, self.digest):
            asked = approvals.Asked(DOOR, self.digest, SUBJECT, objection)
            approval = approvals.request(session, asked, self.guard.approval_lasts)
            policies.note_approval(session, row.id, approval.id)
            _log.error("policy_held", reason=objection, approval=approval.id)
            return False
        policies.adopt(session, row.id)
        _log.info("policy_adopted", policy=row.id)
        return True
