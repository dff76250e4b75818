"""The gateway's application: its routes, and what is mounted beside them."""

from collections.abc import Callable, Mapping
from importlib.metadata import version

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from worker.gateway import problems
from worker.gateway.health import health_routes
from worker.gateway.metrics import Counted, metrics_routes
from worker.gateway.reading import reading_routes
from worker.gateway.roster import RosterDoor, roster_routes
from worker.gateway.services import Services
from worker.gateway.update_routes import update_routes
from worker.gateway.updates import UpdateDoor
from worker.gateway.watching import watching_routes


def create_app(services: Services, mounts: Mapping[str, ASGIApp] | None = None) -> FastAPI:
    """``mounts`` by their path, like ``/console``: each asks for its own sign-in."""
    app = FastAPI(
        title="coachsync gateway",
        version=version("coachsync"),
        summary="The HTTP door for producers of target and quota updates, and for sources of the roster.",
        openapi_url=None,  # nothing but health answers without a token; the document is in docs/reference
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would lead to whatever Host says, and out of TLS where a proxy ends it
    )
    app.add_middleware(Counted)
    problems.install(app)
    door = UpdateDoor(services)
    app.include_router(update_routes(door))
    app.include_router(roster_routes(RosterDoor(services)))
    app.include_router(reading_routes(services))
    app.include_router(watching_routes(services))
    app.include_router(health_routes(services))
    app.include_router(metrics_routes(services))
    for path, mounted in (mounts or {}).items():
        app.router.add_route(path, _within(path), methods=["GET"])
        app.mount(path, mounted)
    return app


def _within(path: str) -> Callable[[Request], Response]:
    def lead(_: Request) -> Response:
        return RedirectResponse(f"{path}/")

    return lead
