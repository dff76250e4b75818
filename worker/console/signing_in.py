"""Sign-in and sign-out."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from worker.console.answers import Answers
from worker.console.desk import Page
from worker.console.door import base_of, forget_cookie, is_private, set_cookie
from worker.console.entry import DOOR, same
from worker.console.render import place
from worker.core.access import Scope, digest_of, is_token
from worker.core.durations import in_words
from worker.log import get_logger
from worker.store import audit, tokens
from worker.store.audit import AuditAction, AuditOutcome, Deed

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SigningIn:
    answers: Answers

    def sign_in_page(self, request: Request) -> Response:
        if self.answers.door.viewer_of(request):
            return RedirectResponse(place(base_of(request), "/"), 303)
        return self._sign_in(request, request.query_params.get("next", "/"))

    async def sign_in(self, request: Request) -> Response:
        return await self.answers.with_form(request, self._try_token)

    def _try_token(self, request: Request, form: dict[str, str]) -> Response:
        came_for = form.get("next", "/")
        if not is_private(request):
            words = "A token is taken over https alone, or on this machine."
            return self._sign_in(request, came_for, words, status=400)
        address = request.client.host if request.client else "unknown"
        if wait := self.answers.services.attempts.wait(address):
            words = f"Too many attempts: try again in {in_words(wait)}."
            response = self._sign_in(request, came_for, words, status=429)
            response.headers["Retry-After"] = str(-(-wait // timedelta(seconds=1)))
            return response
        secret, token = secrets.token_urlsafe(32), form.get("token", "").strip()
        with self.answers.services.runtime.database.write() as session:
            holder = tokens.holder_of(session, digest_of(token)) if is_token(token) else None
            enters = holder is not None and holder.may(Scope.CONSOLE_VIEW)
            if holder and enters:
                self.answers.door.let_in(session, holder, secret)
                deed = Deed(holder.name, DOOR, AuditAction.SIGN_IN, f"token {holder.token_id}")
                audit.note(session, deed, AuditOutcome.DONE, "signed in")
        if not enters:
            self.answers.services.attempts.failed(address)
            log.warning("console_sign_in_refused", address=address, known=holder is not None)
            words = "This token may not open the console: it needs the scope console:view or console:act."
            return self._sign_in(request, came_for, words if holder else "No such token, or it has ended.", status=401)
        self.answers.door.see_out(request)  # as whom they were here before
        response = RedirectResponse(_within(base_of(request), came_for), 303)
        set_cookie(response, request, secret)
        return response

    async def sign_out(self, request: Request) -> Response:
        return await self.answers.with_form(request, self._leave)

    def _leave(self, request: Request, form: dict[str, str]) -> Response:
        viewer = self.answers.door.viewer_of(request)
        if viewer and not same(form.get("csrf", ""), viewer.csrf):
            return self.answers.trouble(request, viewer, 403, "Nothing was done", "The form was not of this session.")
        self.answers.door.see_out(request)
        response = RedirectResponse(place(base_of(request), "/sign-in"), 303)
        forget_cookie(response, request)
        return response

    def _sign_in(self, request: Request, came_for: str, words: str | None = None, *, status: int = 200) -> Response:
        facts = {"next": came_for, "words": words, "private": is_private(request)}
        return self.answers.html(request, None, Page("sign_in.html", "Sign in", facts, status=status))


def _within(base: str, path: str) -> str:
    """Where somebody wanted to go, if that is a page of ours."""
    plain = path.isprintable() and "\\" not in path and "//" not in path and ".." not in path
    inside = plain and path.startswith("/")
    return base + path if inside else base + "/"
