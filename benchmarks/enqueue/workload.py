"""From a CSV file to rows, beside a bare loop that parses it and inserts the same rows, and beside other doors."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.children import python
from benchmarks.enqueue.door import write_file
from benchmarks.figures import OURS, Better, Column, Row, Table, gathered
from benchmarks.scale import Scale
from benchmarks.site import ENGINES, Site, environment, plain_url
from benchmarks.throughput.contenders import our_environment
from benchmarks.throughput.place import Place

RATE, MEMORY = "rows/s", "peak memory, MB"
COLUMNS = (Column(RATE, better=Better.MORE), Column(MEMORY, better=Better.LESS))


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    door: str
    engine: str
    note: str = ""


_BARE = "a ceiling: six columns of text without a key; nothing is checked, ordered or counted"
_SAME_TABLES = "a ceiling: the rows that coachsync keeps, with their indexes; nothing is checked, ordered or counted"
CONTENDERS = (
    *(Contender(OURS, "ours", engine) for engine in ENGINES),
    Contender("bare loop", "bare_postgres", "PostgreSQL", _BARE),
    Contender("bare loop", "bare_sqlite", "SQLite", _BARE),
    *(Contender("bare loop, our tables", "same_tables", engine, _SAME_TABLES) for engine in ENGINES),
    Contender("procrastinate", "procrastinate", "PostgreSQL", "a thousand jobs an insert; nothing is checked"),
    Contender("Celery", "celery", "PostgreSQL", "not durable: a message a row in the broker's memory"),
)


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    for rows in scale.enqueued:
        file = site.folder / f"targets-{rows}.csv"
        write_file(file, rows)
        for engine in ENGINES:
            wanted = [one for one in CONTENDERS if one.engine == engine and scale.wants(one.name)]
            done = [{one.name: _take(one, site, file.name, rows) for one in wanted} for _ in range(scale.rounds)]
            measured = {row.name: row for row in gathered([one.name for one in wanted], done)}
            yield Table(
                f"enqueue-{engine.lower()}-{rows}",
                f"Enqueue {rows:,} rows on {engine}",
                "from a CSV file to committed rows, by one process, reading the file included",
                COLUMNS,
                [Row(one.name, measured[one.name].rounds, one.note) for one in wanted],
            )


def _take(one: Contender, site: Site, file: str, rows: int) -> dict[str, float]:
    site.broker.flush()
    with site.database(one.engine) as database:
        place = Place(site.broker.url, plain_url(database), "http://127.0.0.1:9")
        env = environment() | place.as_environment() | our_environment(place, site.folder, database)
        command = python("benchmarks.enqueue.door", one.door, str(site.folder / file))
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["rows"] == rows, f"{one.name} has {told['rows']} rows of {rows}"
    return {RATE: rows / told["seconds"], MEMORY: told["megabytes"]}
