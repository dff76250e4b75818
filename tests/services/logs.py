"""The log of the process that the tests run in."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from worker.log import LogHandler


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Whatever the block configures is gone after it."""
    root = logging.getLogger()
    level = root.level
    logging.captureWarnings(capture=False)  # once left on, it would not be turned on again: pytest has undone its half
    yield
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, LogHandler)]
    root.setLevel(level)
    logging.captureWarnings(capture=False)
