"""The last look at the fleet: to ask all workers takes a second, and no page waits for that twice."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.fleet import Fleet

FRESH_SECONDS = 5.0


@dataclass(slots=True)
class FleetWatch:
    """``look`` asks, ``monotonic`` tells how long ago that was."""

    look: Callable[[], Fleet]
    monotonic: Callable[[], float]
    _seen: Fleet | None = None
    _seen_at: float = 0.0
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def latest(self) -> Fleet:
        """The first look is waited for; later ones are had in the background while the last one is shown."""
        if self._seen is None:
            with self._asking:
                return self._seen or self._ask()
        if self.monotonic() - self._seen_at > FRESH_SECONDS and self._asking.acquire(blocking=False):
            threading.Thread(target=self._ask_and_release, daemon=True).start()
        return self._seen

    def _ask(self) -> Fleet:
        found = self.look()
        self._seen, self._seen_at = found, self.monotonic()
        return found

    def _ask_and_release(self) -> None:
        try:
            self._ask()
        finally:
            self._asking.release()
