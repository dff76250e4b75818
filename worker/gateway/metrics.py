"""``/metrics``: what the processes with this home count, the gateway among them, and what is true of the fleet."""

import asyncio
import time
from http import HTTPStatus
from ipaddress import ip_address

from fastapi import APIRouter, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.configuration.values import is_loopback
from worker.core import access
from worker.fleet import fleet_collector
from worker.gateway.services import Services
from worker.telemetry import instruments
from worker.telemetry.exposition import CONTENT_TYPE, expose, of_machine

_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


def metrics_routes(services: Services) -> APIRouter:
    router = APIRouter(tags=["metrics"])
    collectors = of_machine(services.settings.home, fleet_collector(services.runtime))

    @router.get("/metrics", summary="Prometheus metrics: on this machine, or with the scope metrics:read")
    async def metrics(request: Request) -> Response:
        if not _is_local(request):
            await services.doorkeeper.admit(request.headers.get("authorization"), access.Scope.METRICS_READ)
        return Response(await asyncio.to_thread(expose, collectors), media_type=CONTENT_TYPE)

    return router


def _is_local(request: Request) -> bool:
    """Asked from this machine, by a name that only it has: not for another by a proxy on it, or by a page's script."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    if not is_loopback(str(request.url)):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:  # a unix socket has no address
        return False


class Counted:
    """Counts requests by their route, of which there are a few; paths would be as many as there are resources."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            instruments.gateway_answered(_route_of(scope), status, time.monotonic() - began)


def _route_of(scope: Scope) -> str:
    """As it is written in the code; of what is mounted, where."""
    route = scope.get("route")
    return str(getattr(route, "path", None) or scope.get("root_path") or "none")
