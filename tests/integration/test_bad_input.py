"""Every wrong input ends in one line that names the field and the remedy, exits 2, and writes nothing.

The readers' own tables (tests/unit/test_reader_*.py) hold what can be wrong inside a file; these meet a command.
"""

import gzip
import signal
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from worker.cli.main import main
from worker.store import schema
from worker.store.engine import Database

PROFILE = "customers/acme/profiles/support"
HEADER = "name,scorecardTemplateName,usecaseName,target\n"
GOOD = f"{PROFILE}/targets/t-1,{PROFILE}/scorecardTemplates/empathy,{PROFILE}/usecases/voice,80\n"
TEMPLATE = f"{PROFILE}/scorecardTemplates/empathy@1"
QUOTA = ("quotas", "recalculate", "--template", TEMPLATE, "--usecase", f"{PROFILE}/usecases/voice")
APPLY = ("targets", "apply")
GOOD_FILE = (*APPLY, "good.csv")

FILES: dict[str, bytes] = {
    "good.csv": (HEADER + GOOD).encode(),
    "empty.csv": b"",
    "header.csv": HEADER.encode(),
    "missing.csv": b"name,target\nx,1\n",
    "duplicate.csv": f"name,{HEADER}x,{GOOD}".encode(),
    "semicolon.csv": (HEADER + GOOD).replace(",", ";").encode(),
    "utf16.csv": (HEADER + GOOD).encode("utf-16"),
    "unknown.csv": (HEADER.strip() + ",usecasName\n" + GOOD.strip() + ",x\n").encode(),
    "rows.csv": GOOD.encode() * 2,
    "quotas.csv": f"scorecard_template_name,usecaseName\n{TEMPLATE},x\n".encode(),
    "sheet.xlsx": b"PK\x03\x04\x14\x00\x06\x00\n\x00\xff\n",
    "zip.csv": b"PK\x03\x04....",
    "nul.csv": b"name,\x00\n",
    "array.json": b"[]",
    "spread.jsonl": b"{\n",
    "hidden.csv": gzip.compress(HEADER.encode()),
    "cut.csv.gz": gzip.compress((HEADER + GOOD * 500).encode())[:60],
    "wrong.csv": (HEADER + GOOD.replace(",80", ",NaN")).encode(),
    "broken.toml": b"api_url = \n",
    "unknown.toml": b"rate_limits = '1/second'\n",
    "secret.toml": b"api_token = 'abc'\n",
    "token": b"a\nb\n",
    "faults.json": b"[{}]",
    "no.json": b"{",
}

Environ = dict[str, str | None]


@dataclass(frozen=True)
class Wrong:
    """``error`` is what the one line must hold."""

    argv: tuple[str, ...]
    error: str
    environ: Environ = field(default_factory=dict)


CASES = [
    Wrong((*APPLY, "none.csv"), "none.csv: not found"),
    Wrong(
        ("tokens", "create", "jane"), "'--scope'. Choose from: targets:write, quotas:write, roster:write, read, console"
    ),
    Wrong((*APPLY, "empty.csv"), "empty.csv: is empty"),
    Wrong((*APPLY, "header.csv"), "header.csv: holds no rows"),
    Wrong((*APPLY, "missing.csv"), 'missing.csv, line 1: missing columns "scorecardTemplateName", "usecaseName"'),
    Wrong((*APPLY, "duplicate.csv"), 'duplicate.csv, line 1: columns 1 and 2 are both "name"'),
    Wrong((*APPLY, "semicolon.csv"), "separated by semicolons"),
    Wrong((*APPLY, "utf16.csv"), "utf16.csv: is UTF-16 text; save it as UTF-8"),
    Wrong((*APPLY, "unknown.csv"), '"usecasName", is unknown'),
    Wrong((*APPLY, "zip.csv"), "zip.csv: is a zip archive or an Excel workbook"),
    Wrong((*APPLY, "sheet.xlsx"), "sheet.xlsx: is a zip archive or an Excel workbook; export the sheet as CSV UTF-8"),
    Wrong((*APPLY, "rows.csv"), "rows.csv, line 1: looks like a row: put the header line before it, with at least"),
    Wrong(
        (*APPLY, "quotas.csv"),
        'missing columns "name", "target"; did you mean `coachsync quotas recalculate`, which has these columns?',
    ),
    Wrong(
        (*QUOTA[:2], "good.csv"), "good.csv, line 1: did you mean `coachsync targets apply`, which has these columns?"
    ),
    Wrong((*APPLY, "nul.csv"), "nul.csv, line 1, column 6: a NUL byte"),
    Wrong((*APPLY, "array.json"), "array.json, line 1: a JSON array"),
    Wrong((*APPLY, "spread.jsonl"), "a JSON object spread over several lines"),
    Wrong((*APPLY, "hidden.csv"), "hidden.csv: "),
    Wrong((*APPLY, "cut.csv.gz"), "cut.csv.gz, line 1: the gzip data is cut off here"),
    Wrong((*APPLY, "folder.csv"), "folder.csv: is a directory"),
    Wrong((*APPLY, "wrong.csv", "--strict"), "wrong.csv: 1 of 1 row is wrong; nothing was written (--strict)"),
    Wrong(APPLY, "Missing argument 'FILE'"),
    Wrong((*GOOD_FILE, "--lane", "fast"), "'--lane': 'fast' is not one of 'interactive', 'bulk'"),
    Wrong((*GOOD_FILE, "--key", "a b"), "--key: the key 'a b' must be"),
    Wrong((*GOOD_FILE, "--key", ""), "--key: the key '' must be"),
    Wrong((*GOOD_FILE, "--timeout", "-1"), "'--timeout': must be greater than or equal to 0"),
    Wrong((*GOOD_FILE, "--timeout", "soon"), "'--timeout': must be a number (--help"),
    Wrong((*GOOD_FILE, "--colour"), "No such option: --colour"),
    Wrong(GOOD_FILE, "there is no Coaching API to send to: set COACHSYNC_API_URL", {"COACHSYNC_API_URL": None}),
    Wrong(GOOD_FILE, "is no http(s) URL", {"COACHSYNC_API_URL": "ftp://x"}),
    Wrong(GOOD_FILE, "is not https", {"COACHSYNC_API_URL": "http://10.0.0.1", "COACHSYNC_API_TOKEN": "t"}),
    Wrong(GOOD_FILE, "has no authentication", {"COACHSYNC_API_URL": "https://example.com"}),
    Wrong(GOOD_FILE, "COACHSYNC_RATE_LIMIT = 'fast'", {"COACHSYNC_RATE_LIMIT": "fast"}),
    Wrong(GOOD_FILE, "a limit of 0 requests allows nothing", {"COACHSYNC_RATE_LIMIT": "0/second"}),
    Wrong(GOOD_FILE, "COACHSYNC_MAX_IN_FLIGHT = '-3'", {"COACHSYNC_MAX_IN_FLIGHT": "-3"}),
    Wrong(GOOD_FILE, "COACHSYNC_DATABASE_URL = 'mysql://x'", {"COACHSYNC_DATABASE_URL": "mysql://x"}),
    Wrong(GOOD_FILE, "COACHSYNC_BROKER_URL = 'amqp://x'", {"COACHSYNC_BROKER_URL": "amqp://x"}),
    Wrong(GOOD_FILE, "COACHSYNC_API_TOKEN has a line break inside", {"COACHSYNC_API_TOKEN": "a\nb"}),
    Wrong(GOOD_FILE, "COACHSYNC_API_TOKEN_FILE", {"COACHSYNC_API_TOKEN_FILE": "token"}),
    Wrong(GOOD_FILE, "did you mean COACHSYNC_API_TOKEN?", {"COACHSYNC_APITOKEN": "x"}),
    Wrong(GOOD_FILE, "COACHSYNC_CONFIG", {"COACHSYNC_CONFIG": "none.toml"}),
    Wrong(GOOD_FILE, "no valid TOML", {"COACHSYNC_CONFIG": "broken.toml"}),
    Wrong(GOOD_FILE, "did you mean rate_limit?", {"COACHSYNC_CONFIG": "unknown.toml"}),
    Wrong(GOOD_FILE, "api_token", {"COACHSYNC_CONFIG": "secret.toml"}),
    Wrong(("status",), "COACHSYNC_HOME: /dev/null/x cannot be made", {"COACHSYNC_HOME": "/dev/null/x"}),
    Wrong(("quotas", "recalculate"), "--template and --usecase: required, unless a FILE of recalculations is given"),
    Wrong(QUOTA[:4], "error: --usecase: required, unless"),
    Wrong((*QUOTA[:2], *QUOTA[4:]), "error: --template: required, unless"),
    Wrong((*QUOTA[:3], "x", *QUOTA[4:]), "--template: scorecardTemplateName: 'x' is no scorecard template name"),
    Wrong((*QUOTA[:3], TEMPLATE[:-2], *QUOTA[4:]), "needs its @revision"),
    Wrong((*QUOTA, "--override", "{"), "--override: no JSON"),
    Wrong((*QUOTA, "--override", "@none"), "--override: @none cannot be read: No such file"),
    Wrong((*QUOTA, "--override", "{}"), "overrides nothing"),
    Wrong((*QUOTA, "--period-start", "x", "--period-end", "y"), "'x' is no RFC 3339 time"),
    Wrong((*QUOTA, "--period-start", "2026-01-02T00:00:00Z"), "evaluationPeriod.endTime: required"),
    Wrong((*QUOTA, "good.csv"), "a FILE says this row by row"),
    Wrong(("explain", "x"), "'x' is none of these"),
    Wrong(("explain", "99"), "there is no batch 99"),
    Wrong(("explain", "99-1"), "there is no job 99-1"),
    Wrong(("jobs", "show", "x"), "'x' is no job id; expected BATCH-ROW like 17-203"),
    Wrong(("jobs", "retry"), "name the jobs, or choose them"),
    Wrong(("jobs", "list", "--state", "x"), "'x' is not one of 'pending'"),
    Wrong(("batches", "show", "0"), "'0' is no batch id"),
    Wrong(("batches", "wait", "77"), "there is no batch 77"),
    Wrong(("targets", "show", "x"), "'x' is no target name"),
    Wrong(("sandbox", "--faults", "none"), "--faults: none: No such file"),
    Wrong(("sandbox", "--faults", "faults.json"), "fault 1: fault"),
    Wrong(("sandbox", "--faults", "no.json"), "fault"),
    Wrong(("sandbox", "--host", "0.0.0.0"), "is no loopback address"),  # noqa: S104 - it is refused
    Wrong(("sandbox", "--port", "99999"), "'--port'"),
    Wrong(("sandbox", "--rate-limit", "x"), "rate limit 'x'"),
    Wrong(("up", "--sandbox"), "--sandbox: set COACHSYNC_API_URL", {"COACHSYNC_API_URL": None}),
    Wrong(("up", "--faults", "faults.json"), "--faults is the sandbox's: give --sandbox too"),
    Wrong(("up", "--workers", "many"), "'--workers': must be a whole number (--help"),
    Wrong(("demo", "--home", "."), "holds something that is not the demo's"),
    Wrong(("nonsense",), "No such command 'nonsense'"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the wrong files, a migrated database, and an environment of its own."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "home").mkdir(mode=0o700)
    database = Database(f"sqlite:///{tmp_path}/home/coachsync.db")
    schema.upgrade(database)
    database.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COACHSYNC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COACHSYNC_API_URL", "http://127.0.0.1:9")
    before = signal.getsignal(signal.SIGPIPE)
    yield tmp_path
    signal.signal(signal.SIGPIPE, before)  # the program ends on it; this process has sockets of other tests


@pytest.mark.parametrize("wrong", CASES, ids=lambda wrong: " ".join([*wrong.argv[:3], *wrong.environ])[:60])
def test_wrong_input_is_one_line_and_writes_nothing(
    wrong: Wrong, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in wrong.environ.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["coachsync", *wrong.argv])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert ended.value.code == 2, told.err
    assert len(errors) == 1, told.err
    assert wrong.error in errors[0]
    assert "Traceback" not in told.err
    assert _written(place) == (0, 0)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("argv", [(), ("targets",)], ids=["coachsync", "coachsync targets"])
def test_without_a_command_there_is_help_and_no_error(
    argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["coachsync", *argv])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.err) == (2, "")
    assert "Usage: " in told.out


def _written(place: Path) -> tuple[int, int]:
    connection = sqlite3.connect(place / "home" / "coachsync.db")
    try:
        batches, jobs = connection.execute(
            "SELECT (SELECT count(*) FROM batches), (SELECT count(*) FROM jobs)"
        ).fetchone()
    finally:
        connection.close()
    return batches, jobs
