"""``coachsync demo`` as a newcomer runs it: it does the main job, its figures add up, it leaves nothing running."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.installation import COACHSYNC


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [COACHSYNC, "demo", "--home", str(folder / "home")],
        env={"PATH": os.environ["PATH"]},  # noqa: TID251 - what a child needs of our environment
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield done.stdout
    assert not _processes_of(folder), "nothing is left running"


def _processes_of(folder: Path) -> list[str]:
    """Command lines and environments of living processes that name the demo's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue  # it has just ended, or is another user's
        if str(folder).encode() in text:
            found.append(process.name)
    return found


def figures(told: str, pattern: str) -> list[int]:
    match = re.search(pattern, told)
    assert match, told
    return [int(figure.replace(",", "")) for figure in match.groups()]


def test_every_row_is_accounted_for(told: str) -> None:
    given, accepted, rejected = figures(told, r"([\d,]+) rows given = ([\d,]+) accepted \+ ([\d,]+) rejected")
    assert given == accepted + rejected
    assert rejected > 0
    total, updated, coalesced, failed, cancelled = figures(
        told, r"([\d,]+) accepted = ([\d,]+) updated \+ ([\d,]+) coalesced .*?\+ ([\d,]+) failed \+ ([\d,]+) cancelled"
    )
    assert total == accepted == updated + coalesced + failed + cancelled
    assert updated >= 2_000
    assert coalesced > 0


def test_the_limit_and_the_cooldowns_are_kept(told: str) -> None:
    most, limit, violations = figures(told, r"at most (\d+) in any second \((\d+) allowed\), (\d+) while")
    assert 0 < most <= limit
    assert violations == 0


def test_the_same_file_again_sends_nothing(told: str) -> None:
    (unchanged,) = figures(told, r"([\d,]+) rows are unchanged")
    assert unchanged >= 2_000


def test_the_command_that_it_ends_with_tells_of_a_target_that_met_trouble(told: str) -> None:
    match = re.search(r"COACHSYNC_HOME=(\S+) \S+ explain (customers/\S+)", told)
    assert match
    home, name = match.groups()
    story = subprocess.run(
        [COACHSYNC, "explain", name],
        env={"PATH": os.environ["PATH"], "COACHSYNC_HOME": home},  # noqa: TID251 - as above
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "1. " in story
    assert "2. " in story
