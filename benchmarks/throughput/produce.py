"""A producer in a process of its own: it is told a range of updates on its input, and says when they are handed in.

python -m benchmarks.throughput.produce MODULE
"""

import sys
from importlib import import_module

from benchmarks.throughput.updates import updates

READY, DONE = "ready\n", "handed in\n"


def main() -> None:
    module = import_module(f"benchmarks.throughput.tasks.{sys.argv[1]}")
    if prepare := getattr(module, "prepare", None):
        prepare()
    _say(READY)
    for line in sys.stdin:
        first, count = map(int, line.split())
        module.hand_in(updates(first, count))
        _say(DONE)


def _say(word: str) -> None:
    sys.stdout.write(word)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
