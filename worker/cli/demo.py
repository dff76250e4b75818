"""``coachsync demo``: the main job on a realistic sample, with faults, on this machine; it leaves nothing running."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from schemas.jobs import JobKind
from schemas.lanes import Lane
from worker.cli.apply import Asked, apply_file
from worker.cli.output import ExitCode, Output
from worker.cli.summary import tell_quotas
from worker.cli.watch import watch_batch
from worker.configuration.settings import load_settings
from worker.core.acceptance import Fate
from worker.core.access import Scope, digest_of, new_token
from worker.core.endpoint_filter import EndpointFilter
from worker.demo.receiver import View, receiving
from worker.demo.sample import faults_json, quotas_jsonl, targets_csv
from worker.demo.story import Story, tell
from worker.embedded.parent_death import dying_with_us
from worker.runtime import Runtime
from worker.store import endpoints, schema, tokens
from worker.store.batches import NewBatch
from worker.store.endpoints import NewEndpoint
from worker.store.tokens import NewToken
from worker.webhooks import signing
from worker.webhooks.setup import sealer_of

RATE = "200/second"
START_SECONDS = 30.0
STOP_SECONDS = 60.0
PATIENCE = 120.0
TOLD_WITHIN = 20.0
ENDPOINT = "ep_demo"
VIEWER = "tok_demo"
VIEWER_LASTS = timedelta(days=1)
CONSOLE_PORT = 8080
AFTERWARDS = "the demo stops all that it has started when it ends"
MARK = "# written by `coachsync demo`, which empties this folder at its next start\n"


def register(root: typer.Typer) -> None:
    root.command()(demo)


def demo(
    home: Annotated[Path, typer.Option("--home", help="Where its database and files go.")] = Path(".coachsync/demo"),
) -> None:
    """Apply 2,300 target updates and 12 quota recalculations against a sandbox with faults, and tell what happened.

    Everything runs on this machine, from Valkey to the Coaching API, and is stopped at the end. Under a minute.

    Example: coachsync demo
    """
    output = Output()
    home = _fresh(home.absolute(), output)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COACHSYNC_")}  # noqa: TID251 - the demo's own world, not the user's
    environ["COACHSYNC_HOME"] = str(home)
    output.say(
        "Starting Valkey, a sandbox Coaching API with a few faults, 1 worker (2 processes), the loops,"
        " and a receiver of webhooks …"
    )
    with closing(Runtime(load_settings(environ, cwd=home))) as runtime, _running(home, environ, runtime, output):
        secret = signing.new_secret("v1", os.urandom)
        with receiving(secret) as view:
            _make_endpoint(runtime, secret, view.url)
            code = _play(home, runtime, view, output)
    raise typer.Exit(code)


def _fresh(home: Path, output: Output) -> Path:
    """An empty folder with the demo's settings and files; never one that somebody else has filled."""
    config = home / "coachsync.toml"
    if home.exists() and not (config.is_file() and config.read_text().startswith(MARK)) and any(home.iterdir()):
        output.fail(f"--home: {home} holds something that is not the demo's; name an empty folder")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    webhooks = '[webhooks]\nallow_http = true\nallow = ["127.0.0.1"]\n'
    ports = f'api_url = "http://127.0.0.1:{_free_port()}"\ngateway_listen = "127.0.0.1:0"\n'
    config.write_text(f'{MARK}{ports}rate_limit = "{RATE}"\n{webhooks}')
    (home / "targets.csv").write_text(targets_csv())
    (home / "quotas.jsonl").write_text(quotas_jsonl())
    (home / "faults.json").write_text(faults_json())
    return home


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def _running(home: Path, environ: Mapping[str, str], runtime: Runtime, output: Output) -> Iterator[None]:
    """`coachsync up` as a child of its own, stopped at the end whatever happens."""
    argv = [sys.executable, "-m", "worker.cli", "up", "--sandbox", "--faults", str(home / "faults.json")]
    with (home / "up.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own command
            dying_with_us(argv, signal.SIGTERM), env=environ, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_ready(child, runtime, home, output)
        yield
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()  # its guard ends what it has started
            child.wait()


def _wait_ready(child: subprocess.Popen[bytes], runtime: Runtime, home: Path, output: Output) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _ready(runtime):
        if child.poll() is not None or time.monotonic() > deadline:
            tail = (home / "up.log").read_text(errors="replace").splitlines()[-5:]
            output.fail("it did not start; the last words:\n" + "\n".join(tail), ExitCode.SOME_FAILED)
        threading.Event().wait(0.1)


def _ready(runtime: Runtime) -> bool:
    try:
        runtime.redis.ping()
        return schema.version(runtime.database) == schema.newest() and bool(_ledger(runtime))
    except (RedisError, SQLAlchemyError, httpx.HTTPError):
        return False


def _make_endpoint(runtime: Runtime, secret: str, url: str) -> None:
    new = NewEndpoint(
        id=ENDPOINT,
        url=url,
        description="the demo's receiver",
        filter=EndpointFilter(),
        ordered=False,
        rate_limit=None,
        concurrency=20,
        kind="v1",
        sealed=sealer_of(runtime.settings).seal(secret),
    )
    with runtime.database.write() as session:
        endpoints.create(session, new)


def _play(home: Path, runtime: Runtime, view: View, output: Output) -> ExitCode:
    output.say("\nA dozen quota recalculations, ahead of all else:")
    quotas = _asked(home / "quotas.jsonl", JobKind.QUOTA_RECALCULATION, Lane.INTERACTIVE)
    receipt = apply_file(quotas, runtime, output)
    runtime.dispatcher.nudge()
    if (code := _watch(runtime, receipt.batch_id, output)) is ExitCode.INTERRUPTED:
        return code
    output.say("\nA file of target updates for two customers, with duplicates, stale wishes and rows that are wrong:")
    targets = _asked(home / "targets.csv", JobKind.TARGET_UPDATE, Lane.BULK)
    batch = apply_file(targets, runtime, output).batch_id
    runtime.dispatcher.nudge()
    if (watched := _watch(runtime, batch, output)) is ExitCode.INTERRUPTED:
        return watched
    with runtime.database.read() as session:
        story = tell(session, batch)
    _summarise(story, _ledger(runtime), output)
    _tell_view(runtime, view, output)
    output.say("\nThe same file once more:")
    again = apply_file(targets, runtime, output)
    output.say(f"  {again.fates[Fate.UNCHANGED]:,} rows are unchanged: nothing is sent for them.")
    _point_deeper(story, home, output)
    _point_at_console(runtime, home, output)
    return watched or code


def _asked(file: Path, kind: JobKind, lane: Lane) -> Asked:
    return Asked(str(file), kind, NewBatch("demo", lane), afterwards=AFTERWARDS)


def _watch(runtime: Runtime, batch_id: int, output: Output) -> ExitCode:
    return watch_batch(runtime, batch_id, PATIENCE, output, afterwards=AFTERWARDS, tell=tell_quotas)


def _ledger(runtime: Runtime) -> dict[str, Any]:
    answer = httpx.get(f"{runtime.settings.api_url}/_sandbox/ledger?window=1", timeout=5, trust_env=False)
    ledger: dict[str, Any] = answer.raise_for_status().json()
    return ledger


def _summarise(story: Story, ledger: dict[str, Any], output: Output) -> None:
    batch = story.batch
    seconds = ((batch.completed_at or batch.touched_at) - batch.created_at).total_seconds()
    updated = batch.succeeded - batch.unchanged
    output.say("\nWhat happened")
    output.say(f"  {batch.rows:,} rows given = {batch.accepted:,} accepted + {batch.rejected:,} rejected")
    output.say(
        f"  {batch.accepted:,} accepted = {updated:,} updated + {batch.superseded:,} coalesced"
        f" (a newer wish for the same target) + {batch.failed:,} failed + {batch.cancelled:,} cancelled"
    )
    output.say(f"  {batch.rejected:,} rejected, each with its reason in targets.csv.rejected.csv, such as:")
    for line, field, reason in story.refused:
        output.say(f"    line {line}: {field or 'row'}: {reason}")
    ended = batch.completed_at is not None and not batch.failed
    output.say("  The remote made trouble" + (", and every target still got its newest wish:" if ended else ":"))
    for what, times in story.trouble:
        output.say(f"    {times} x {what}")
    most, limit = ledger["most_in"]["1"], int(RATE.partition("/")[0])
    used = story.requests / seconds / limit
    output.say(
        f"  {story.requests:,} requests in {seconds:.0f} s are {used:.0%} of the limit, start and cooldown included;"
        f" the remote saw at most {most} in any second ({limit} allowed),"
        f" {ledger['cooldown_violations']} while it had asked for quiet"
    )


def _tell_view(runtime: Runtime, view: View, output: Output) -> None:
    deadline = time.monotonic() + TOLD_WITHIN
    while _left(runtime) and time.monotonic() < deadline:
        threading.Event().wait(0.2)
    output.say("\nWhat the outside world was told, as its receiver saw it")
    turned_away = len(view.turned_away)
    types = ", ".join(f"{count:,} {kind}" for kind, count in sorted(view.types.items()))
    output.say(f"  {view.types.total():,} messages: {types}")
    output.say(
        f"  every signature verified ({view.not_verified} did not); {turned_away} were turned away once with 503"
        f" and sent again; {view.again} came twice; {_left(runtime)} are still on their way"
    )


def _left(runtime: Runtime) -> int:
    with runtime.database.read() as session:
        return endpoints.depth_of(session, ENDPOINT).pending


def _point_deeper(story: Story, home: Path, output: Output) -> None:
    if story.retried is None:
        return
    job, name = story.retried
    output.say("\nLook deeper: the whole story of a target that met trouble")
    output.say(f"  {_command(home)} explain {name}")
    output.say(f"  {_command(home)} explain {job}")


def _point_at_console(runtime: Runtime, home: Path, output: Output) -> None:
    """The home is emptied at the demo's next start, and the token with it."""
    token = new_token(os.urandom)
    new = NewToken(VIEWER, "demo", digest_of(token), {Scope.CONSOLE_VIEW}, lasts=VIEWER_LASTS)
    with runtime.database.write() as session:
        tokens.create(session, new)
    output.say("\nSee it in a browser (the rest has stopped, which the console says). Ctrl-C ends it")
    output.say(f"  {_command(home)} gateway --port {CONSOLE_PORT}")
    output.say(f"  http://127.0.0.1:{CONSOLE_PORT}/console, with the token {token}")


def _command(home: Path) -> str:
    program = Path(sys.argv[0]).name if shutil.which("coachsync") else sys.argv[0]
    return f"COACHSYNC_HOME={shlex.quote(str(home))} {shlex.quote(program)}"
