"""Who is let in: cookies and origins of requests. What is refused here has touched nothing.

SameSite keeps other sites' forms without our cookie, the origin is looked at all the same, and each form of a session
carries what only its own pages can know.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from worker.configuration.values import is_loopback
from worker.console.entry import COOKIE, IDLE, LASTS, csrf_of, digest_of
from worker.console.viewer import Viewer
from worker.core.access import Holder, Scope
from worker.store import console_sessions, tokens
from worker.store.console_sessions import Limits
from worker.store.engine import Database

LARGEST_FORM = 16_384
LIMITS = Limits(LASTS, IDLE)


class TooLarge(Exception):  # noqa: N818 - the house names what happened
    """A form that no page of ours sends."""


@dataclass(frozen=True, slots=True)
class Door:
    database: Database

    def viewer_of(self, request: Request, *, active: bool = True) -> Viewer | None:
        """None for who is not signed in, any more. ``active``: a person has asked, not a page that polls."""
        secret = request.cookies.get(COOKIE)
        if not secret:
            return None
        digest = digest_of(secret)
        with self.database.read() as session:
            found = console_sessions.find(session, digest, IDLE)
            holder = tokens.holder_by_id(session, found.token_id) if found else None
            stale = active and found is not None and console_sessions.is_stale(session, found)
        if holder is None or not holder.may(Scope.CONSOLE_VIEW):
            return None
        if stale:
            with self.database.write() as session:
                console_sessions.note_seen(session, digest)
        return Viewer.of(holder, csrf_of(secret))

    def let_in(self, session: Session, holder: Holder, secret: str) -> None:
        """The token counts as used."""
        console_sessions.open_session(session, digest_of(secret), holder.token_id, LIMITS)
        tokens.note_use(session, holder.token_id)

    def see_out(self, request: Request) -> None:
        if secret := request.cookies.get(COOKIE):
            with self.database.write() as session:
                console_sessions.close(session, digest_of(secret))


def set_cookie(response: Response, request: Request, secret: str) -> None:
    response.set_cookie(
        COOKIE,
        secret,
        max_age=LASTS // timedelta(seconds=1),
        path=base_of(request) or "/",
        secure=not is_plain(request),
        httponly=True,
        samesite="strict",
    )


def forget_cookie(response: Response, request: Request) -> None:
    response.delete_cookie(
        COOKIE, path=base_of(request) or "/", secure=not is_plain(request), httponly=True, samesite="strict"
    )


def base_of(request: Request) -> str:
    """Where the console is mounted."""
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")


def is_plain(request: Request) -> bool:
    """Plain http on this machine: the one case in which a cookie needs no TLS."""
    return scheme_of(request) == "http" and is_loopback(str(request.url))


def scheme_of(request: Request) -> str:
    """As the browser has it: who ends TLS before us says so. Who lies about it gets a cookie that is kept better."""
    return request.headers.get("x-forwarded-proto", request.url.scheme).partition(",")[0].strip()


def is_private(request: Request) -> bool:
    """Whether nobody on the way reads a token that is typed here."""
    return scheme_of(request) == "https" or is_plain(request)


def is_same_origin(request: Request) -> bool:
    """Of a form that was sent: browsers say where from. Who says nothing is refused."""
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site == "same-origin"
    return origin == f"{scheme_of(request)}://{request.url.netloc}"


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises ``TooLarge`` before it has read more than that."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise TooLarge
    fields = parse_qsl(body.decode("utf-8", errors="replace"), keep_blank_values=True)
    return {name: without_nul(value) for name, value in fields}


def without_nul(text: str) -> str:
    """PostgreSQL is not even asked with a NUL; nothing that is there has one."""
    return text.replace("\0", "\ufffd")
