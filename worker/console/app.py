"""The console: pages for operators, rendered here, and the actions that they confirm."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from worker.console import pages_oversight, pages_overview, pages_things, pages_webhooks, pages_work
from worker.console.answers import Answers, Show
from worker.console.door import Door
from worker.console.entry import Attempts
from worker.console.fleet_watch import FleetWatch
from worker.console.headers import SecureHeaders
from worker.console.performing import Performing
from worker.console.rejected_rows import RejectedRows
from worker.console.render import STATIC
from worker.console.services import ConsoleServices
from worker.console.signing_in import SigningIn
from worker.fleet import look
from worker.runtime import Runtime

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


def console_of(runtime: Runtime, now: Callable[[], datetime], monotonic: Callable[[], float]) -> ASGIApp:
    """As a gateway serves it."""
    fleet = FleetWatch(lambda: look(runtime), monotonic)
    return create_console(ConsoleServices(runtime, fleet, Attempts(now), monotonic))


def create_console(services: ConsoleServices) -> ASGIApp:
    answers = Answers(services, Door(services.runtime.database))
    performing, signing_in = Performing(answers), SigningIn(answers)
    shown = [Route(path, answers.page(show, polls=path in LIVE), methods=["GET"]) for path, show in PAGES]
    app = Starlette(
        routes=[
            Route("/sign-in", signing_in.sign_in_page, methods=["GET"]),
            Route("/sign-in", signing_in.sign_in, methods=["POST"]),
            Route("/sign-out", signing_in.sign_out, methods=["POST"]),
            Route("/batches/{batch}/rejected.csv", RejectedRows(answers).rejected_rows, methods=["GET"]),
            Route("/do/{action}", performing.confirm, methods=["GET"]),
            Route("/do/{action}", performing.perform, methods=["POST"]),
            *shown,
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={
            HTTPException: answers.http_error,
            SQLAlchemyError: answers.database_refused,
            Exception: answers.broke,
        },
    )
    app.router.redirect_slashes = False  # to whatever Host says
    return SecureHeaders(app)
