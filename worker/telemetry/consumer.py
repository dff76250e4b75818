"""Whether Celery's consumer takes messages: its event loop turns, and where messages wait and there is room, some come.

Celery reconnects by itself, for as long as it takes; a consumer that stays connected and takes nothing it does not see.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps
from celery.signals import task_received
from celery.worker import state
from redis import Redis

from schemas.lanes import Lane
from worker.app import INTAKE, key_of, queue_name
from worker.telemetry import roll_call
from worker.telemetry.attendance import AWAY
from worker.telemetry.pulse import PulseWriter

CONSUMER = "consumer"
TICKS_EVERY = 1.0


class ConsumerWatch:
    """``waiting`` messages, or None where the broker is away; ``is_full``: it has all that it may have."""

    def __init__(self, pulse: PulseWriter, waiting: Callable[[], int | None], is_full: Callable[[], bool]) -> None:
        self._pulse = pulse
        self._waiting = waiting
        self._is_full = is_full
        self._turned = False
        self._took = False

    def turned(self) -> None:
        self._turned = True

    def took(self, **_: Any) -> None:
        self._took = True

    def look(self) -> None:
        """Passes where nothing is wrong as far as can be said: of a broker that is away nothing can be."""
        waiting = self._waiting()
        turned, took, self._turned, self._took = self._turned, self._took, False, False
        if waiting is None or (turned and (took or not waiting or self._is_full())):
            self._pulse.passed(CONSUMER)


def watch_consumer(app: Celery, pulse: PulseWriter, redis: Redis, name: str, processes: int) -> ConsumerWatch:
    """Of the worker that this process is about to become."""

    def waiting() -> int | None:
        try:
            roll_call.answer(redis, name)
            with redis.pipeline() as together:
                for key in _queues(app):
                    together.llen(key)
                return int(sum(together.execute()))
        except AWAY:
            return None

    watch = ConsumerWatch(pulse, waiting, lambda: len(state.reserved_requests) >= processes)
    task_received.connect(watch.took, weak=False)
    app.steps["consumer"].add(_turning(watch))
    return watch


def _queues(app: Celery) -> list[str]:
    return [key_of(app, queue) for queue in (INTAKE, *map(queue_name, Lane))]


def _turning(watch: ConsumerWatch) -> type[bootsteps.StartStopStep]:
    class Turning(bootsteps.StartStopStep):
        """A reconnect clears the timers and starts the steps anew."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:
            parent.timer.call_repeatedly(TICKS_EVERY, watch.turned)

    return Turning
