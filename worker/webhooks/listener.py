"""The reference receiver: verifies each message, takes each id once, and hands it on.

What any consumer has to do, in the order in which it has to: verify the raw body, answer quickly, be done with an id
that was there before.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from schemas.webhooks import LONGEST_BODY
from worker.webhooks.signing import NotVerified, Verifier

REMEMBERED = 100_000  # ids


@dataclass(frozen=True, slots=True)
class Received:
    """A message whose signature fits. ``again``: its id was there before."""

    id: str
    body: bytes
    again: bool


@dataclass(slots=True)
class Listener:
    """``verifiers``: one of them has to accept; several while a secret is replaced."""

    verifiers: Sequence[Verifier]
    now: Callable[[], float]
    on_message: Callable[[Received], None]
    on_refusal: Callable[[str], None]
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2 * LONGEST_BODY)
        app.router.add_post("/{path:.*}", self._receive)
        return app

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            message_id = self._verified({name.lower(): value for name, value in request.headers.items()}, body)
        except NotVerified as error:
            self.on_refusal(str(error))
            return web.Response(status=401, text=f"not verified: {error}\n")
        self.on_message(Received(message_id, body, message_id in self._seen))
        self._seen[message_id] = None  # from here on: what could not be handed on has to come again
        self._seen.move_to_end(message_id)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return web.Response(status=204)

    def _verified(self, headers: dict[str, str], body: bytes) -> str:
        refusal = NotVerified("there is no secret to verify with")
        for verifier in self.verifiers:
            try:
                return verifier.verify(headers, body, self.now())
            except NotVerified as error:
                refusal = error
        raise refusal
