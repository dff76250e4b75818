"""What takes minutes runs where `make chaos` asks for it."""

import os

import pytest

ROWS = os.environ.get("COACHSYNC_TEST_ROWS")  # noqa: TID251 - tells the tests, not the code, how much to do
ONLY_IN_CHAOS = (pytest.mark.slow, pytest.mark.skipif(not ROWS, reason="COACHSYNC_TEST_ROWS: make chaos"))
