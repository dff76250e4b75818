"""The units run our commands, with settings of ours, shut in; systemd takes them where it is there to ask."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli.main import build
from worker.configuration.settings import NAMES

ROOT = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(ROOT.glob("*.service"))
SHARED = (ROOT / "coachsync-.service.d" / "hardened.conf").read_text()
MOST_EXPOSED = 1.5  # of systemd's scale from 0 to 10
systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not on this machine")


def given(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def test_every_role_has_its_unit_and_takes_part_in_what_all_share() -> None:
    names = {path.stem for path in UNITS}
    assert names == {f"coachsync-{role}" for role in ("migrate", "worker@", "loops", "webhooks", "gateway")}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_each_command_exists_with_its_options(path: Path) -> None:
    (line,) = given(path.read_text(), "ExecStart")
    program, *words = shlex.split(line)
    assert program == "/opt/coachsync/bin/coachsync"
    told = CliRunner().invoke(build(), [*(word for word in words if re.fullmatch(r"[a-z]+", word)), "--help"])
    assert told.exit_code == 0, told.output
    assert all(word in told.output for word in words if word.startswith("--"))


@pytest.mark.parametrize("path", [path for path in UNITS if "migrate" not in path.name], ids=lambda path: path.stem)
def test_a_process_is_told_to_end_and_has_time_and_comes_back(path: Path) -> None:
    text = path.read_text()
    assert given(text, "Type") == ["exec"], "it tells systemd nothing"
    assert given(text, "KillMode") == ["mixed"]
    assert int(given(text, "TimeoutStopSec")[0]) >= (60 if "worker" in path.name else 30)
    assert given(text, "Restart") == ["always"]
    assert given(SHARED, "StartLimitIntervalSec") == ["0"]
    assert given(text, "After") == ["coachsync-migrate.service"]
    assert given(text, "WantedBy") == ["coachsync.target"]


def test_the_settings_are_ours_and_secrets_are_files() -> None:
    named = set(re.findall(r"\b(COACHSYNC_\w+)=", SHARED + (ROOT / "environment.example").read_text()))
    assert named <= {"COACHSYNC_CONFIG", *(f"COACHSYNC_{name.upper()}" for name in NAMES.in_environment)}
    credentials = {name.partition(":")[0] for name in given(SHARED, "LoadCredential")}
    assert credentials == set(re.findall(r"_FILE=%d/([\w-]+)", SHARED))


@systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    ours = _with_a_program_that_is_there(tmp_path)
    names = [path.name.replace("@.", "@1.") for path in [*UNITS, ROOT / "coachsync.target"]]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        env={"SYSTEMD_UNIT_PATH": f"{ours}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "coachsync" in line]) == (0, [])


@systemd
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_finds_them_shut_in(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", path.name.replace("@.", "@1.")],
        env={"SYSTEMD_UNIT_PATH": f"{_with_a_program_that_is_there(tmp_path)}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd judges no unit files: {done.stderr.strip()[:200]}")
    assert float(found[1]) <= MOST_EXPOSED


def _with_a_program_that_is_there(folder: Path) -> Path:
    ours = folder / "units"
    shutil.copytree(ROOT, ours)
    for path in ours.glob("*.service"):
        path.write_text(path.read_text().replace("/opt/coachsync/bin/coachsync", "/bin/true"))
    return ours
