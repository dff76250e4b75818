"""Measure coachsync beside what one would take instead: one machine, one run, in turn.

    python -m benchmarks [WORKLOAD …] [--quick] [--rounds N] [--seconds N] [--million] [--contenders NAME …]

Prints a table for each workload and setting, and keeps all figures in benchmarks/results/. `make results`
makes benchmarks/RESULTS.md of the newest. Figures are of one machine and one moment: trust the gains.
"""

import argparse
import sys
import time

from benchmarks import results
from benchmarks.rendering import as_text
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.site import site
from benchmarks.throughput.contenders import CONTENDERS
from benchmarks.workloads import WORKLOADS


def main() -> None:
    given = _parsed()
    file = results.begin(quick=given.quick)
    scale = _scale(given)
    for name in given.workloads or WORKLOADS:
        begun = time.monotonic()
        with site() as place:
            for table in WORKLOADS[name](place, scale):
                results.keep(file, table)
                print(as_text(table), end="\n\n", flush=True)
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(f"all figures are in {file}")


def _scale(given: argparse.Namespace) -> Scale:
    scale = QUICK if given.quick else FULL
    return scale.having(rounds=given.rounds, seconds=given.seconds, million=given.million, contenders=given.contenders)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--quick", action="store_true", help="Small figures, one round, some contenders: does it work?")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="How long those that watch for a while do so.")
    parser.add_argument("--million", action="store_true", help="A million rows too, enqueued and in the store.")
    parser.add_argument("--contenders", nargs="*", help=", ".join(one.name for one in CONTENDERS))
    given = parser.parse_args()
    if unknown := set(given.workloads) - set(WORKLOADS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    return given


if __name__ == "__main__":
    main()
