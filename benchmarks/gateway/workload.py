"""Single target updates posted to `coachsync gateway` by one producer with some connections, each as soon as it can.

A figure is of committed updates: one that is answered is on the disk, of both databases. Producer and gateway share the
machine.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator

from benchmarks.children import Child, child, python
from benchmarks.figures import OURS, Column, Row, Table, gathered
from benchmarks.scale import Scale
from benchmarks.site import ENGINES, Site, environment, plain_url
from benchmarks.throughput.contenders import our_environment
from benchmarks.throughput.place import Place
from worker.core.access import Scope, digest_of, new_token
from worker.store import schema, tokens
from worker.store.engine import Database
from worker.store.tokens import NewToken

RATE, MEDIAN, SLOWEST = "updates/s", "median, ms", "p99, ms"
COLUMNS = (Column(RATE), Column(MEDIAN, digits=1), Column(SLOWEST, digits=1))
CONNECTIONS = (1, 32, 256)
LONGEST = 5


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    seconds = min(scale.seconds, LONGEST)
    for engine in ENGINES:
        done = [_round(site, engine, seconds) for _ in range(scale.rounds)]
        yield Table(
            f"gateway-{engine.lower()}",
            f"Post single updates to the gateway, {engine}",
            f"for {seconds} s, from one producer; its connections send one after the other",
            COLUMNS,
            [
                Row(f"{OURS}, {name}", row.rounds, row.note)
                for name, row in ((row.name, row) for row in gathered([_name(one) for one in CONNECTIONS], done))
            ],
        )


def _round(site: Site, engine: str, seconds: float) -> dict[str, dict[str, float]]:
    with site.database(engine) as url:
        token = _prepared(url)
        env = our_environment(Place(site.broker.url, plain_url(url), "http://127.0.0.1:9"), site.folder, url)
        command = python("worker.cli", "gateway", "--port", "0")
        with child(Child("gateway", command, "listens at http", env=env), site.folder) as running:
            listens = re.search(r"listens at (\S+)", running.log())
            assert listens
            return {_name(one): _post(listens[1], token, one, seconds) for one in CONNECTIONS}


def _prepared(url: str) -> str:
    database, token = Database(url), new_token(os.urandom)
    schema.upgrade(database)
    with database.write() as session:
        tokens.create(session, NewToken("tok_bench", "benchmark", digest_of(token), [Scope.TARGETS_WRITE]))
    database.close()
    return token


def _post(url: str, token: str, connections: int, seconds: float) -> dict[str, float]:
    command = python("benchmarks.gateway.poster", url, str(connections), str(seconds))
    env = environment() | {"TOKEN": token}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    return {
        RATE: told["accepted"] / told["seconds"],
        MEDIAN: told["median"] * 1000,
        SLOWEST: told["slowest"] * 1000,
    }


def _name(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"
