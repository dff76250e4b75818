"""The memory of one sliding window: how many permits were settled, in at most ``SLOTS`` slots. The twin's; pure."""

from collections import Counter
from dataclasses import dataclass, field

from api_adapter.rate_limit.policy import last_slot_out, slot_after, slot_leaves_at


@dataclass(slots=True)
class SlidingWindow:
    """A permit settled at ``at_ms`` counts until its slot has left the window; those under way count elsewhere."""

    window_ms: int
    out: int
    slots: Counter[int] = field(default_factory=Counter)

    @property
    def used(self) -> int:
        return self.slots.total()

    def count(self, at_ms: int, permits: int = 1) -> None:
        slot = slot_after(at_ms, self.window_ms)
        if slot > self.out:
            self.slots[slot] += permits

    def slide(self, now_ms: int) -> None:
        self.out = max(self.out, last_slot_out(now_ms, self.window_ms))
        for slot in [slot for slot in self.slots if slot <= self.out]:
            del self.slots[slot]

    def settled_leave_at(self, missing: int, now_ms: int) -> int:
        """When ``missing`` settled permits will have left the window; in a window's time if there are not so many."""
        for slot in sorted(self.slots):
            missing -= self.slots[slot]
            if missing <= 0:
                return slot_leaves_at(slot, self.window_ms)
        return now_ms + self.window_ms


def empty_window(window_ms: int, now_ms: int) -> SlidingWindow:
    return SlidingWindow(window_ms, last_slot_out(now_ms, window_ms))
