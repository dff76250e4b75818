"""Sends one message to one URL, once. No redirect is followed, and no guarded address connected to under any name.

The guard stands where the socket is made, for the very address that is connected to next: between the look-up of a
name and the connection nothing can change any more (DNS rebinding), and a literal address passes it too.
"""

import errno
import socket
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from ipaddress import ip_address

from aiohappyeyeballs import AddrInfoType

from api_adapter.classify import NoReply
from api_adapter.retry_after import parse_wait
from api_adapter.transport import Timeouts, Transport
from worker.core.delivery import Reply
from worker.webhooks.address import AddressGuard

TIMEOUT = 15.0  # seconds, for a whole request
KEPT_OF_A_BODY = 1_000  # bytes
_TIMEOUTS = Timeouts(connect=5.0, acquire=5.0, read=TIMEOUT, total=TIMEOUT)


class Poster:
    """Belongs to one event loop. Close it there."""

    def __init__(self, guard: AddressGuard, timeouts: Timeouts = _TIMEOUTS) -> None:
        self._guard = guard
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"coachsync/{version('coachsync')}",
        }
        self._transport = Transport(
            max_connections=0,
            timeouts=timeouts,
            longest_body=KEPT_OF_A_BODY,
            decoded=False,
            open_socket=self._open_socket,
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Reply:
        sent = self._headers | dict(headers)
        answer = await self._transport.send("POST", url, sent, body)
        if isinstance(answer, NoReply):
            return Reply(error=answer.message)
        text = answer.body.decode("utf-8", errors="replace")
        return Reply(answer.status, None, parse_wait(answer.headers, now), text)

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _open_socket(self, found: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = found
        if objection := self._guard.objection(ip_address(str(address[0]).partition("%")[0])):
            raise OSError(errno.EACCES, objection)
        return socket.socket(family, kind, protocol)
