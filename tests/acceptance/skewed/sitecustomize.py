"""On the PYTHONPATH of one process alone: its wall clock is wrong by CLOCK_AHEAD seconds, as a machine's without NTP.

The monotonic clock is right, as there.
"""

import os
import time
from datetime import timedelta

from worker import clock

_AHEAD = float(os.environ["CLOCK_AHEAD"])  # noqa: TID251 - of the test that has started us
_true_time, _true_now = time.time, clock.utc_now  # noqa: TID251 - to be wrong by so much

time.time = lambda: _true_time() + _AHEAD  # noqa: TID251 - as above
clock.utc_now = lambda: _true_now() + timedelta(seconds=_AHEAD)
