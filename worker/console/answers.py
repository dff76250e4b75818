"""How a request becomes an answer: who asks, what they are shown, and what they are told instead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from worker.console.desk import BadInput, Desk, NotThere, Page
from worker.console.door import Door, TooLarge, base_of, form_of, is_same_origin, without_nul
from worker.console.render import place, render
from worker.console.services import ConsoleServices
from worker.console.viewer import Viewer
from worker.log import get_logger

log = get_logger(__name__)
Show = Callable[[Desk, Session], Page]


@dataclass(frozen=True, slots=True)
class Answers:
    services: ConsoleServices
    door: Door

    def page(self, show: Show, *, polls: bool) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            viewer = self.door.viewer_of(request, active=not polls)
            if viewer is None:
                return self.to_sign_in(request, polls=polls)
            return self.shown(request, viewer, show)

        return endpoint

    def shown(self, request: Request, viewer: Viewer, show: Show) -> Response:
        desk = self.desk(request, viewer)
        try:
            with self.services.runtime.database.read() as session:
                page = show(desk, session)
            found = page.facts.get("found")
            if page.template == "search.html" and found and len(found) == 1:
                return RedirectResponse(place(base_of(request), found[0][1]), 303)
            return self.html(request, viewer, page)
        except NotThere as error:
            return self.trouble(request, viewer, 404, "Not there", str(error))
        except BadInput as error:
            return self.trouble(request, viewer, 400, "That cannot be meant", str(error))

    async def with_form(self, request: Request, handle: Callable[[Request, dict[str, str]], Response]) -> Response:
        """What another site has sent, or no page of ours, is not even looked at."""
        if not is_same_origin(request):
            return self.trouble(request, None, 403, "Nothing was done", "The form came from another site.")
        try:
            form = await form_of(request)
        except TooLarge:
            return self.trouble(request, None, 413, "Nothing was done", "The form is larger than any of ours.")
        return await run_in_threadpool(handle, request, form)

    def desk(self, request: Request, viewer: Viewer) -> Desk:
        path = {name: without_nul(str(value)) for name, value in request.path_params.items()}
        query = {name: without_nul(value) for name, value in request.query_params.items()}
        return Desk(self.services.runtime, self.services.fleet, viewer, path, query)

    def to_sign_in(self, request: Request, *, polls: bool = False) -> Response:
        """A page that polls is told so, and asks a person to load it anew."""
        if polls or request.method != "GET":
            return self.trouble(request, None, 401, "Signed out", "Your session has ended. Sign in again.")
        path = request.url.path.removeprefix(base_of(request)) or "/"
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(place(base_of(request), "/sign-in", next=path + query if path != "/" else None), 303)

    def may_not_act(self, request: Request, viewer: Viewer) -> Response:
        words = "Your token may look, and not act: that needs the scope console:act."
        return self.trouble(request, viewer, 403, "Nothing was done", words)

    def trouble(self, request: Request, viewer: Viewer | None, status: int, title: str, words: str) -> Response:
        return self.html(request, viewer, Page("trouble.html", title, {"words": words}, status=status))

    def http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = "There is no such page." if status == 404 else "That is no request of a page of ours."  # noqa: PLR2004 - HTTP's own
        viewer = self.door.viewer_of(request)
        response = self.trouble(request, viewer, status, "Not there", words)
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})
        return response

    def database_refused(self, request: Request, error: Exception) -> Response:
        log.error("console_failed", path=request.url.path, error=type(error).__name__)
        words = "The database cannot be used at this moment; coachsync doctor says more."
        response = self.trouble(request, None, 503, "No page for now", words)
        response.headers["Retry-After"] = "2"
        return response

    def broke(self, request: Request, _: Exception) -> Response:
        """A bug: it goes on to the log, and whoever looks is told no more than that."""
        return self.trouble(request, None, 500, "This should not have happened", "The gateway's log says more.")

    def html(self, request: Request, viewer: Viewer | None, page: Page) -> HTMLResponse:
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
