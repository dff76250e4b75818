"""The door of the console: a token is shown once and becomes a session; who tries too often waits."""

import hashlib
import hmac
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

DOOR = "console"  # in the audit trail
COOKIE = "coachsync_console"
LASTS = timedelta(hours=12)
IDLE = timedelta(minutes=30)
ATTEMPTS = 5
WITHIN = timedelta(minutes=1)
MOST_ADDRESSES = 10_000


def digest_of(secret: str) -> str:
    """What is stored of a cookie: whoever reads the database is not signed in by it."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def csrf_of(secret: str) -> str:
    """What each form of a session carries: made of the cookie, and no way back to it."""
    return hmac.new(secret.encode(errors="surrogatepass"), b"coachsync console form", hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), expected.encode(errors="surrogatepass"))


@dataclass(slots=True)
class Attempts:
    """Failed sign-ins of each address in the last minute. Of one process, and no more of them than it can hold."""

    now: Callable[[], datetime]
    _failed: OrderedDict[str, deque[datetime]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def wait(self, address: str) -> timedelta:
        """How long this address has to wait before its next attempt."""
        with self._lock:
            failed = self._recent(address)
            return failed[0] + WITHIN - self.now() if len(failed) >= ATTEMPTS else timedelta(0)

    def failed(self, address: str) -> None:
        with self._lock:
            self._recent(address).append(self.now())
            self._failed.move_to_end(address)
            while len(self._failed) > MOST_ADDRESSES:
                self._failed.popitem(last=False)

    def _recent(self, address: str) -> deque[datetime]:
        failed = self._failed.setdefault(address, deque(maxlen=ATTEMPTS))
        while failed and failed[0] + WITHIN <= self.now():
            failed.popleft()
        return failed
