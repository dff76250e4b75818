"""Actions: shown before they are done, done once they are confirmed, and never without a line in the audit trail."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from worker.console.action import LONGEST_WHY, Action, Order, Prospect, Refused, Told
from worker.console.actions import ACTIONS
from worker.console.answers import Answers
from worker.console.desk import BadInput, Desk, NotThere, Page
from worker.console.door import without_nul
from worker.console.entry import DOOR, same
from worker.log import get_logger
from worker.store import audit
from worker.store.audit import AuditAction, AuditOutcome, Deed

log = get_logger(__name__)
LONG_WORK = timedelta(seconds=10)  # no browser waits much longer


@dataclass(frozen=True, slots=True)
class Performing:
    answers: Answers

    def confirm(self, request: Request) -> Response:
        viewer = self.answers.door.viewer_of(request)
        if viewer is None:
            return self.answers.to_sign_in(request)
        action, on = ACTIONS.get(request.path_params["action"]), without_nul(request.query_params.get("on", ""))
        if action is None:
            return self.answers.trouble(request, viewer, 404, "Not there", "There is no such action.")
        if not viewer.may_act:
            return self.answers.may_not_act(request, viewer)

        def show(desk: Desk, session: Session) -> Page:
            prospect = action.look(desk, session, on)
            facts = {"action": action, "name": request.path_params["action"], "on": on, "prospect": prospect}
            return Page("confirm.html", f"{action.title}: {prospect.subject}", facts)

        return self.answers.shown(request, viewer, show)

    async def perform(self, request: Request) -> Response:
        return await self.answers.with_form(request, self._perform)

    def _perform(self, request: Request, form: dict[str, str]) -> Response:
        viewer = self.answers.door.viewer_of(request)
        if viewer is None:
            return self.answers.to_sign_in(request)
        if not same(form.get("csrf", ""), viewer.csrf):
            words = "The form was not of this session. Go back, load the page again, and confirm anew."
            return self.answers.trouble(request, viewer, 403, "Nothing was done", words)
        action = ACTIONS.get(request.path_params["action"])
        if action is None:
            return self.answers.trouble(request, viewer, 404, "Not there", "There is no such action.")
        if not viewer.may_act:
            return self.answers.may_not_act(request, viewer)
        on = form.get("on", "")

        def show(desk: Desk, session: Session) -> Page:
            prospect = action.look(desk, session, on)
            session.rollback()  # what follows is in transactions of its own
            return self._done(request, desk, action, prospect, form)

        return self.answers.shown(request, viewer, show)

    def _done(self, request: Request, desk: Desk, action: Action, prospect: Prospect, form: dict[str, str]) -> Page:
        """The line of the audit trail comes first: nothing is done without one."""
        name, on = request.path_params["action"], form.get("on", "")
        number = self._note(desk, name, prospect)
        ends = self.answers.services.monotonic() + LONG_WORK.total_seconds()
        why = form.get("why", "").strip()[:LONGEST_WHY] or None
        order = Order(on, why, lambda: self.answers.services.monotonic() < ends, secrets.token_bytes)
        try:
            told, outcome = action.act(desk, order), AuditOutcome.DONE
        except (Refused, NotThere, BadInput) as error:
            told, outcome = Told(f"{error}"), AuditOutcome.REFUSED
        except Exception as error:
            self._settle(number, AuditOutcome.FAILED, type(error).__name__)
            raise
        self._settle(number, outcome, told.words + (f" Reason given: {why}" if why else ""))
        log.info("console_action", audit=number, who=desk.viewer.name, outcome=str(outcome))
        facts = {
            "action": action,
            "name": name,
            "on": on,
            "prospect": prospect,
            "told": told,
            "done": outcome is AuditOutcome.DONE,
            "number": number,
        }
        status = 200 if outcome is AuditOutcome.DONE else 409
        return Page("done.html", f"{action.title}: {prospect.subject}", facts, status=status)

    def _note(self, desk: Desk, action: str, prospect: Prospect) -> int:
        deed = Deed(desk.viewer.name, DOOR, AuditAction(action), prospect.subject)
        with self.answers.services.runtime.database.write() as session:
            return audit.note(session, deed, AuditOutcome.BEGUN, "under way")

    def _settle(self, number: int, outcome: AuditOutcome, words: str) -> None:
        with self.answers.services.runtime.database.write() as session:
            audit.settle(session, number, outcome, words)
