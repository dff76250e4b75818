"""One message of the type ``endpoint.test``, signed like any other, that no row knows of."""

import os
from collections.abc import Sequence

from schemas.webhooks import ENDPOINT_TEST, EndpointTest, compose
from worker.clock import utc_now
from worker.core.delivery import Reply
from worker.store.webhook_models import Endpoint
from worker.webhooks import signing
from worker.webhooks.address import AddressGuard
from worker.webhooks.post import Poster

ID_BYTES = 8


async def send_trial(endpoint: Endpoint, secrets: Sequence[str], guard: AddressGuard) -> Reply:
    """Sent once; the answer counts neither for nor against the endpoint's health."""
    now = utc_now()
    body = compose(ENDPOINT_TEST, now, EndpointTest(endpoint_id=endpoint.id)).encode()
    headers = signing.headers(secrets, f"msg_test_{os.urandom(ID_BYTES).hex()}", int(now.timestamp()), body)
    poster = Poster(guard)
    try:
        return await poster.post(endpoint.url, headers, body, now)
    finally:
        await poster.aclose()
