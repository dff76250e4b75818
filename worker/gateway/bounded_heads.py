"""Uvicorn's HTTP protocol, with an end to how long the head of a request may be: its parser knows none."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 64 << 10  # and what the system gives us at once


class BoundedHeads(HttpToolsProtocol):
    """Who goes on with a head past its bound is answered 400 and hears no more: nobody of good will does."""

    _waited_for = 0  # bytes of a head that is not whole yet

    def data_received(self, data: bytes) -> None:
        if self._waited_for > MOST_BYTES:
            self.send_400_response("The head of the request is too long.")
            return
        self._waited_for += len(data)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._waited_for = -(1 << 62)  # what comes now is the body's

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._waited_for = 0
