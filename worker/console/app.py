"""The console: pages for operators, rendered here, and the actions that they confirm."""

import csv
import io
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from schemas.ids import MAX_ROWS
from worker.console import pages_oversight, pages_overview, pages_things, pages_webhooks, pages_work
from worker.console.actions import ACTIONS, LONGEST_WHY, Action, Order, Prospect, Refused, Told
from worker.console.desk import BadInput, Desk, NotThere, Page
from worker.console.door import Door, TooLarge, base_of, forget_cookie, form_of, is_private, is_same_origin, set_cookie
from worker.console.entry import Attempts, same
from worker.console.fleet_watch import FleetWatch
from worker.console.headers import SecureHeaders
from worker.console.render import STATIC, place, render
from worker.console.viewer import Viewer
from worker.core.access import Scope, digest_of, is_token
from worker.core.durations import in_words
from worker.fleet import look
from worker.intake.rejected_file import harmless
from worker.log import get_logger
from worker.runtime import Runtime
from worker.store import audit, listing, tokens
from worker.store.audit import AuditOutcome, Deed

log = get_logger(__name__)
Show = Callable[[Desk, Session], Page]
DOOR = "console"
LONG_WORK = timedelta(seconds=10)  # no browser waits much longer
AT_ONCE = 1_000
LIVE = ("/live", "/batches/{batch}/live", "/jobs/{job}/live")
PAGES: tuple[tuple[str, Show], ...] = (
    ("/", pages_overview.overview),
    ("/live", pages_overview.overview_live),
    ("/remotes", pages_overview.list_remotes),
    ("/remotes/{name}", pages_overview.show_remote),
    ("/batches", pages_work.list_batches),
    ("/batches/{batch}", pages_work.show_batch),
    ("/batches/{batch}/live", pages_work.batch_live),
    ("/jobs", pages_work.list_jobs),
    ("/jobs/{job}", pages_work.show_job),
    ("/jobs/{job}/live", pages_work.job_live),
    ("/targets", pages_things.list_targets),
    ("/targets/{name:path}", pages_things.show_target),
    ("/quotas", pages_things.list_quotas),
    ("/quotas/{name:path}", pages_things.show_quota),
    ("/agents", pages_things.list_agents),
    ("/agents/{name:path}", pages_things.show_agent),
    ("/events/{event}", pages_things.show_event),
    ("/webhooks", pages_webhooks.list_endpoints),
    ("/webhooks/{endpoint}", pages_webhooks.show_endpoint),
    ("/deliveries", pages_webhooks.list_deliveries),
    ("/deliveries/{delivery}", pages_webhooks.show_delivery),
    ("/messages/{message}", pages_webhooks.show_message),
    ("/approvals", pages_oversight.list_approvals),
    ("/approvals/{approval}", pages_oversight.show_approval),
    ("/drifts", pages_oversight.list_drifts),
    ("/audit", pages_oversight.list_audit),
    ("/search", pages_oversight.search),
)


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """What the console is made of; ``monotonic`` times long work."""

    runtime: Runtime
    fleet: FleetWatch
    attempts: Attempts
    monotonic: Callable[[], float]


def create_console(services: ConsoleServices) -> Starlette:
    console = _Console(services, Door(services.runtime.database))
    shown = [Route(path, console.page(show, polls=path in LIVE), methods=["GET"]) for path, show in PAGES]
    return Starlette(
        routes=[
            Route("/sign-in", console.sign_in_page, methods=["GET"]),
            Route("/sign-in", console.sign_in, methods=["POST"]),
            Route("/sign-out", console.sign_out, methods=["POST"]),
            Route("/batches/{batch}/rejected.csv", console.rejected_rows, methods=["GET"]),
            Route("/do/{action}", console.confirm, methods=["GET"]),
            Route("/do/{action}", console.perform, methods=["POST"]),
            *shown,
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(SecureHeaders)],
        exception_handlers={HTTPException: console.http_error},
    )


def console_of(runtime: Runtime, now: Callable[[], datetime], monotonic: Callable[[], float]) -> Starlette:
    """As a gateway serves it."""
    fleet = FleetWatch(lambda: look(runtime), monotonic)
    return create_console(ConsoleServices(runtime, fleet, Attempts(now), monotonic))


@dataclass(frozen=True, slots=True)
class _Console:
    services: ConsoleServices
    door: Door

    # Pages

    def page(self, show: Show, *, polls: bool) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            viewer = self.door.viewer_of(request, active=not polls)
            if viewer is None:
                return self._to_sign_in(request, polls=polls)
            return self._shown(request, viewer, show)

        return endpoint

    def _shown(self, request: Request, viewer: Viewer, show: Show) -> Response:
        desk = self._desk(request, viewer)
        try:
            with self.services.runtime.database.read() as session:
                page = show(desk, session)
            found = page.facts.get("found")
            if page.template == "search.html" and found and len(found) == 1:
                return RedirectResponse(place(base_of(request), found[0][1]), 303)
            return self._html(request, viewer, page)
        except NotThere as error:
            return self._trouble(request, viewer, 404, "Not there", str(error))
        except BadInput as error:
            return self._trouble(request, viewer, 400, "That cannot be meant", str(error))
        except DBAPIError as error:
            log.exception("console_failed", path=request.url.path)
            words = str(error.orig or error).splitlines()[0]
            return self._trouble(request, viewer, 503, "The database refused", f"{words} (coachsync doctor says more)")

    def rejected_rows(self, request: Request) -> Response:
        """The refused rows of a batch as CSV, however many: a portion at a time."""
        viewer = self.door.viewer_of(request)
        if viewer is None:
            return self._to_sign_in(request)
        desk = self._desk(request, viewer)
        try:
            desk.sees_all_or_nothing("Rejected rows")
            with self.services.runtime.database.read() as session:
                batch = pages_work.batch_seen(desk, session, request.path_params["batch"])
        except NotThere as error:
            return self._trouble(request, viewer, 404, "Not there", str(error))
        named = {"Content-Disposition": f'attachment; filename="batch-{batch.id}-rejected.csv"'}
        return StreamingResponse(self._rejected(batch.id), media_type="text/csv; charset=utf-8", headers=named)

    def _rejected(self, batch: int) -> Iterator[str]:
        yield _csv(("line", "row", "field", "reason", "value"))
        after = None
        while True:
            with self.services.runtime.database.read() as session:
                some = listing.first_rejections(session, batch, AT_ONCE, after)
            yield "".join(
                _csv((one.line, one.job_id & MAX_ROWS, *map(harmless, (one.field, one.reason, one.value))))
                for one in some
            )
            if len(some) < AT_ONCE:
                return
            after = some[-1].job_id

    # Actions

    def confirm(self, request: Request) -> Response:
        viewer = self.door.viewer_of(request)
        if viewer is None:
            return self._to_sign_in(request)
        action, on = ACTIONS.get(request.path_params["action"]), request.query_params.get("on", "")
        if action is None:
            return self._trouble(request, viewer, 404, "Not there", "There is no such action.")
        if not viewer.may_act:
            return self._may_not_act(request, viewer)

        def show(desk: Desk, session: Session) -> Page:
            prospect = action.look(desk, session, on)
            facts = {"action": action, "name": request.path_params["action"], "on": on, "prospect": prospect}
            return Page("confirm.html", f"{action.title}: {prospect.subject}", facts)

        return self._shown(request, viewer, show)

    async def perform(self, request: Request) -> Response:
        return await self._with_form(request, self._perform)

    def _perform(self, request: Request, form: dict[str, str]) -> Response:
        viewer = self.door.viewer_of(request)
        if viewer is None:
            return self._to_sign_in(request)
        if not same(form.get("csrf", ""), viewer.csrf):
            words = "The form was not of this session. Go back, load the page again, and confirm anew."
            return self._trouble(request, viewer, 403, "Nothing was done", words)
        action = ACTIONS.get(request.path_params["action"])
        if action is None:
            return self._trouble(request, viewer, 404, "Not there", "There is no such action.")
        if not viewer.may_act:
            return self._may_not_act(request, viewer)
        on = form.get("on", "")

        def show(desk: Desk, session: Session) -> Page:
            prospect = action.look(desk, session, on)
            session.rollback()  # what follows is in transactions of its own
            return self._done(request, desk, action, prospect, form)

        return self._shown(request, viewer, show)

    def _done(self, request: Request, desk: Desk, action: Action, prospect: Prospect, form: dict[str, str]) -> Page:
        """The line of the audit trail comes first: nothing is done without one."""
        name, on = request.path_params["action"], form.get("on", "")
        number = self._note(desk, name, prospect)
        ends = self.services.monotonic() + LONG_WORK.total_seconds()
        why = form.get("why", "").strip()[:LONGEST_WHY] or None
        order = Order(on, why, lambda: self.services.monotonic() < ends, secrets.token_bytes)
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
        deed = Deed(desk.viewer.name, DOOR, action, prospect.subject)
        with self.services.runtime.database.write() as session:
            return audit.note(session, deed, AuditOutcome.BEGUN, "under way")

    def _settle(self, number: int, outcome: AuditOutcome, words: str) -> None:
        with self.services.runtime.database.write() as session:
            audit.settle(session, number, outcome, words)

    # Sign-in

    def sign_in_page(self, request: Request) -> Response:
        if self.door.viewer_of(request):
            return RedirectResponse(place(base_of(request), "/"), 303)
        return self._sign_in(request, request.query_params.get("next", "/"))

    async def sign_in(self, request: Request) -> Response:
        return await self._with_form(request, self._try_token)

    def _try_token(self, request: Request, form: dict[str, str]) -> Response:
        came_for = form.get("next", "/")
        if not is_private(request):
            words = "A token is taken over https alone, or on this machine."
            return self._sign_in(request, came_for, words, status=400)
        address = request.client.host if request.client else "unknown"
        if wait := self.services.attempts.wait(address):
            words = f"Too many attempts: try again in {in_words(wait)}."
            response = self._sign_in(request, came_for, words, status=429)
            response.headers["Retry-After"] = str(-(-wait // timedelta(seconds=1)))
            return response
        secret, token = secrets.token_urlsafe(32), form.get("token", "").strip()
        with self.services.runtime.database.write() as session:
            holder = tokens.holder_of(session, digest_of(token)) if is_token(token) else None
            enters = holder is not None and holder.may(Scope.CONSOLE_VIEW)
            if holder and enters:
                self.door.let_in(session, holder, secret)
                deed = Deed(holder.name, DOOR, "sign-in", f"token {holder.token_id}")
                audit.note(session, deed, AuditOutcome.DONE, "signed in")
        if not enters:
            self.services.attempts.failed(address)
            log.warning("console_sign_in_refused", address=address, known=holder is not None)
            words = "This token may not open the console: it needs the scope console:view or console:act."
            return self._sign_in(request, came_for, words if holder else "No such token, or it has ended.", status=401)
        response = RedirectResponse(_within(base_of(request), came_for), 303)
        set_cookie(response, request, secret)
        return response

    async def sign_out(self, request: Request) -> Response:
        return await self._with_form(request, self._leave)

    def _leave(self, request: Request, form: dict[str, str]) -> Response:
        viewer = self.door.viewer_of(request)
        if viewer and not same(form.get("csrf", ""), viewer.csrf):
            return self._trouble(request, viewer, 403, "Nothing was done", "The form was not of this session.")
        self.door.see_out(request)
        response = RedirectResponse(place(base_of(request), "/sign-in"), 303)
        forget_cookie(response, request)
        return response

    # What they share

    async def _with_form(self, request: Request, handle: Callable[[Request, dict[str, str]], Response]) -> Response:
        """What another site has sent, or no page of ours, is not even looked at."""
        if not is_same_origin(request):
            return self._trouble(request, None, 403, "Nothing was done", "The form came from another site.")
        try:
            form = await form_of(request)
        except TooLarge:
            return self._trouble(request, None, 413, "Nothing was done", "The form is larger than any of ours.")
        return await run_in_threadpool(handle, request, form)

    def _desk(self, request: Request, viewer: Viewer) -> Desk:
        path = {name: str(value) for name, value in request.path_params.items()}
        return Desk(self.services.runtime, self.services.fleet, viewer, path, dict(request.query_params))

    def _to_sign_in(self, request: Request, *, polls: bool = False) -> Response:
        """A page that polls is told so, and asks a person to load it anew."""
        if polls or request.method != "GET":
            return self._trouble(request, None, 401, "Signed out", "Your session has ended. Sign in again.")
        path = request.url.path.removeprefix(base_of(request)) or "/"
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(place(base_of(request), "/sign-in", next=path + query if path != "/" else None), 303)

    def _sign_in(self, request: Request, came_for: str, words: str | None = None, *, status: int = 200) -> Response:
        facts = {"next": came_for, "words": words, "private": is_private(request)}
        return self._html(request, None, Page("sign_in.html", "Sign in", facts, status=status))

    def _may_not_act(self, request: Request, viewer: Viewer) -> Response:
        words = "Your token may look, and not act: that needs the scope console:act."
        return self._trouble(request, viewer, 403, "Nothing was done", words)

    def _trouble(self, request: Request, viewer: Viewer | None, status: int, title: str, words: str) -> Response:
        return self._html(request, viewer, Page("trouble.html", title, {"words": words}, status=status))

    def http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = "There is no such page." if status == 404 else "That is no request of a page of ours."  # noqa: PLR2004 - HTTP's own
        viewer = self.door.viewer_of(request)
        return self._trouble(request, viewer, status, "Not there", words)

    def _html(self, request: Request, viewer: Viewer | None, page: Page) -> HTMLResponse:
        base = base_of(request)
        shared: dict[str, Any] = {
            "base": base,
            "viewer": viewer,
            "title": page.title,
            "here": request.url.path.removeprefix(base),
            "query": dict(request.query_params),
        }
        response = HTMLResponse(render(page.template, {**page.facts, **shared}), page.status)
        if page.done:
            response.headers["Console-Live"] = "done"
        return response


def _within(base: str, path: str) -> str:
    """Where somebody wanted to go, if that is a page of ours."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return base + path if inside else base + "/"


def _csv(cells: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
