"""The Celery application. Why each setting is what it is: docs/explanation/celery.md."""

from datetime import timedelta
from typing import Any

from celery import Celery, bootsteps
from kombu.entity import Exchange, Queue

from schemas.lanes import Lane

TASK = "coachsync.run_chunk"
EVENTS_TASK = "coachsync.submit_roster_events"
HELLO = "coachsync_hello"  # what each worker is asked; it answers with what it runs with
INTAKE = "coachsync.intake"  # its queue: other services send to it
HARD_LIMIT = timedelta(seconds=120)  # above a chunk's time, patience and slack with the longest request timeout

# The default exchange routes by the queue's name; a named one needs a binding that a flush of the broker deletes.
_DIRECT = Exchange("", type="direct")


class ForgetMessages(bootsteps.StartStopStep):
    """What a worker holds when its connection breaks is not put back.

    kombu 5.7 tries to, through the connection that it has closed before, and the worker ends with an `AttributeError`.
    A message is safe to lose: its chunk runs on, and each of its rows has a lease or counts as published for a while.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        parent.task_consumer.channel.qos.restore_at_shutdown = False


def queue_name(lane: Lane) -> str:
    return f"coachsync.{lane}"


def queue_key(app: Celery, lane: Lane) -> str:
    """The list on the server that holds a lane's messages."""
    return key_of(app, queue_name(lane))


def key_of(app: Celery, queue: str) -> str:
    return f"{app.conf.broker_transport_options['global_keyprefix']}{queue}"


def make_app(broker_url: str, *, key_prefix: str = "coachsync:") -> Celery:
    """The application on one broker. ``key_prefix`` keeps its keys apart from others' on a shared server."""
    app = Celery("coachsync", broker=broker_url, include=["worker.tasks"], set_as_current=False)
    app.conf.update(_SETTINGS)
    app.steps["consumer"].add(ForgetMessages)
    app.conf.task_queues = [
        Queue(name, exchange=_DIRECT, routing_key=name)
        for name in (queue_name(Lane.INTERACTIVE), INTAKE, queue_name(Lane.BULK))
    ]
    app.conf.broker_transport_options = _TRANSPORT | {"global_keyprefix": key_prefix}
    return app


_SETTINGS: dict[str, Any] = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "result_serializer": "json",
    "result_backend": None,
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": False,
    "task_time_limit": HARD_LIMIT.total_seconds(),
    "task_default_queue": queue_name(Lane.BULK),
    "task_create_missing_queues": False,
    "worker_prefetch_multiplier": 1,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "task_publish_retry": False,
    "enable_utc": True,
    "timezone": "UTC",
}

_TRANSPORT: dict[str, Any] = {
    "ack_emulation": False,
    "queue_order_strategy": "priority",
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "max_connections": 30,
    "health_check_interval": 25,
}
