"""Write benchmarks/RESULTS.md, with its plots, from a run's figures.

python -m benchmarks.report [benchmarks/results/FILE.json]
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.plots import bars
from benchmarks.rendering import as_markdown
from benchmarks.results import Results, newest, read

HERE = Path(__file__).parent
PLOTS = HERE / "plots"
HEAD = """# Results

Written by `make results` from one run of `make bench`. Each figure is the median of the rounds, with the least and the
most of them. A gain is coachsync's figure set against the row's, round by round: above 1 coachsync is better. Figures
are of one machine and one moment; trust the gains.
"""


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else newest()
    if file is None:
        sys.exit("there are no figures yet: run `make bench`")
    found = read(file)
    PLOTS.mkdir(exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    for table in found.tables:
        if plot := bars(table):
            (PLOTS / f"{table.key}.svg").write_text(plot)
    (HERE / "RESULTS.md").write_text("\n".join(document(found)) + "\n")
    print(HERE / "RESULTS.md")


def document(found: Results) -> Iterator[str]:
    yield HEAD
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {said} |" for name, said in found.facts.items())
    for table in found.tables:
        yield f"\n## {table.title}\n"
        yield as_markdown(table)
        if bars(table):
            yield f"\n![{table.title}]({PLOTS.name}/{table.key}.svg)"


if __name__ == "__main__":
    main()
