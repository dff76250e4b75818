"""How fast permits come: a bucket of tokens, and the factor that throttling cuts its rate by. The twin's; pure.

Tokens keep a killed worker from holding a whole window's worth of permits, and the remote from seeing spikes.
"""

import math
from dataclasses import dataclass

from api_adapter.rate_limit import policy as rules
from api_adapter.rate_limit.policy import Policy

_JUST_SHORT_OF_ONE_MORE = 0.999  # an asker that comes a moment late loses nothing, and never gets more at once


@dataclass(slots=True)
class Pace:
    """``tokens`` as of ``tokens_at``; after throttling that is the end of the cooldown: pace from zero, no burst."""

    tokens_at: int
    factor_at: int
    strain_at: int
    tokens: float = 0.0
    factor: float = 1.0
    answers: float = 0.0
    throttled: float = 0.0
    cut_at: int = 0

    def advance(self, now_ms: int, policy: Policy) -> None:
        """The rate recovers linearly, recent answers fade, tokens come at the pace."""
        if now_ms > self.factor_at:
            self.factor = min(1.0, self.factor + (now_ms - self.factor_at) * rules.RECOVERY_PER_MS)
            self.factor_at = now_ms
        fade = math.exp((self.strain_at - now_ms) / rules.STRAIN_MEMORY_MS)
        self.answers, self.throttled, self.strain_at = self.answers * fade, self.throttled * fade, now_ms
        if now_ms > self.tokens_at:
            self.add((now_ms - self.tokens_at) * policy.pace(self.factor), policy)
            self.tokens_at = now_ms

    def add(self, tokens: float, policy: Policy) -> None:
        self.tokens = min(policy.burst(self.factor) + _JUST_SHORT_OF_ONE_MORE, self.tokens + tokens)

    def stop_until(self, at_ms: int) -> None:
        self.tokens, self.tokens_at = 0.0, at_ms

    def resume(self, at_ms: int) -> None:
        """What was to wait for the end of a cooldown that is forgotten goes on."""
        self.tokens_at, self.factor_at = min(self.tokens_at, at_ms), min(self.factor_at, at_ms)

    def cut(self, now_ms: int, resume_ms: int, *, unhinted: bool) -> None:
        """Throttled again and again, or without a word of how long to wait: slow down. Once is only a cooldown."""
        sustained = self.throttled >= rules.STRAIN_COUNT and self.throttled > self.answers * rules.STRAIN_SHARE
        if (sustained or unhinted) and now_ms - self.cut_at >= rules.CUT_PAUSE_MS:
            self.factor = max(rules.RATE_FLOOR, self.factor * rules.CUT)
            self.cut_at = now_ms
        self.factor_at = max(now_ms, resume_ms)

    def tokens_in(self, tokens: int, policy: Policy) -> int:
        """Milliseconds until the bucket holds ``tokens``."""
        return math.ceil((tokens - self.tokens) / policy.pace(self.factor))
