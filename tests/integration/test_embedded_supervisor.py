"""The supervisor with real processes and real signals: it starts, restarts, stops, and leaves nothing behind."""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from worker.embedded.child import ChildSpec
from worker.embedded.parent_death import die_with
from worker.embedded.restarts import RestartPolicy
from worker.embedded.supervisor import Supervisor

PATIENCE = 60.0
SHORT = timedelta(milliseconds=20)
POLICY = RestartPolicy(first_wait=SHORT, longest_wait=SHORT, quick=timedelta(seconds=5), quick_deaths=3)
_CLEAN = multiprocessing.get_context("forkserver")  # forks, quickly, from a process that has run no other test
_CLEAN.set_forkserver_preload(["worker.embedded.supervisor", __name__])

STEADY = "import os, time; print('pid', os.getpid()); time.sleep(600)"
WITH_GRANDCHILD = (
    "import os, subprocess, sys, time; other = subprocess.Popen(['sleep', '600']); "
    "print('pid', os.getpid()); print('pid', other.pid); time.sleep(600)"
)
STUBBORN = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STEADY


class Run:
    """A supervisor in a process of its own; what it and its children say is in ``output``."""

    def __init__(
        self, specs: Sequence[ChildSpec], output: Path, policy: RestartPolicy, ignored: Sequence[signal.Signals]
    ) -> None:
        self._output = output
        output.touch()
        self._process = _CLEAN.Process(target=_supervise, args=(specs, output, policy, ignored))
        self._process.start()
        self.pid = self._process.pid or 0

    @property
    def lines(self) -> list[str]:
        return self._output.read_text().splitlines()

    def pids(self, name: str = "") -> list[int]:
        told = [line.partition("| ") for line in self.lines]
        return [int(text.split()[1]) for who, _, text in told if who.startswith(name) and text.startswith("pid ")]

    def until(self, true: Callable[[], bool]) -> None:
        wait_until(true, self._output.read_text)

    def has(self, count: int) -> "Run":
        self.until(lambda: len(self.pids()) >= count)
        return self

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self) -> int | None:
        self._process.join(PATIENCE)
        return self._process.exitcode

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _supervise(
    specs: Sequence[ChildSpec], output: Path, policy: RestartPolicy, ignored: Sequence[signal.Signals]
) -> None:
    die_with(os.getppid(), signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(filename=output, level=logging.INFO, format="%(action)s", force=True)
    supervisor = Supervisor(
        specs, forward=lambda name, line: _say(f"{name}| {line}"), on_ready=lambda: _say("all ready"), policy=policy
    )
    ending = asyncio.run(supervisor.run())
    _say(f"ended: {ending}")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def wait_until(true: Callable[[], bool], told: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, told()
        time.sleep(0.01)  # noqa: TID251 - between two looks, bounded by the deadline


@dataclass(frozen=True, slots=True)
class Exists:
    path: Path

    def __call__(self, _pid: int) -> bool:
        return self.path.exists()


def never(_pid: int) -> bool:
    return False


def buggy(_pid: int) -> bool:
    raise ZeroDivisionError


def alive(pid: int) -> bool:
    """Not a zombie: that is dead, only nobody asked how it ended yet."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def gone(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


@contextmanager
def supervised(
    folder: Path, *children: ChildSpec, policy: RestartPolicy = POLICY, ignored: Sequence[signal.Signals] = ()
) -> Iterator[Run]:
    run = Run(children, folder / "output", policy, ignored)
    try:
        yield run
    finally:
        run.close()


def child(name: str, code: str = STEADY, **more: Any) -> ChildSpec:
    return ChildSpec(name, [sys.executable, "-I", "-S", "-u", "-c", code], {}, **more)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_and_the_supervisor_says_so(tmp_path: Path, number: signal.Signals) -> None:
    with supervised(tmp_path, child("a"), child("b", WITH_GRANDCHILD)) as run:
        pids = run.has(3).pids()
        run.signal(number)
        assert run.ended() == 0
        assert run.lines[-1] == "ended: Stopped()"
        wait_until(lambda: gone(pids))


def test_nothing_survives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a", STUBBORN), child("b", WITH_GRANDCHILD)) as run:
        pids = run.has(3).pids()
        guard = _guard_of(run)
        wait_until(lambda: _ignores(guard, signal.SIGTERM))
        os.kill(guard, signal.SIGTERM)  # as `systemctl stop` sends it to every process of a service
        run.signal(signal.SIGKILL)
        run.ended()
        wait_until(lambda: gone([*pids, guard]))


def test_children_die_with_the_supervisor_even_if_its_guard_died_first(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a", STUBBORN), child("b")) as run:
        pids = run.has(2).pids()
        os.kill(_guard_of(run), signal.SIGKILL)
        run.signal(signal.SIGKILL)
        run.ended()
        wait_until(lambda: gone(pids))


def test_children_start_in_order_each_when_the_one_before_is_ready(tmp_path: Path) -> None:
    code = f"import time; time.sleep(0.3); open({str(tmp_path / 'up')!r}, 'w'); {STEADY}"
    second = f"import os; print('found', os.path.exists({str(tmp_path / 'up')!r})); {STEADY}"
    with supervised(tmp_path, child("a", code, ready=Exists(tmp_path / "up")), child("b", second)) as run:
        run.has(2)
        assert "b| found True" in run.lines


def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0))); " + STEADY
    with supervised(tmp_path, child("a", code), child("b", code), child("c", code)) as run:
        run.has(3)
        run.signal(signal.SIGTERM)
        run.ended()
        assert [line for line in run.lines if "bye" in line] == ["c| bye", "b| bye", "a| bye"]


def test_a_child_that_ignores_the_signal_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a", STUBBORN, grace=timedelta(seconds=0.3))) as run:
        pids = run.has(1).pids()
        begun = time.monotonic()
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
        assert time.monotonic() - begun >= 0.3
        assert gone(pids)


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    grace = timedelta(hours=1)
    with supervised(tmp_path, child("a", STUBBORN, grace=grace), child("b", STUBBORN, grace=grace)) as run:
        pids = run.has(2).pids()
        run.signal(signal.SIGINT)
        run.until(lambda: "supervisor_stops" in run.lines)
        assert all(alive(pid) for pid in pids)
        run.signal(signal.SIGINT)
        assert run.ended() == 0
        assert gone(pids)


def test_a_child_has_the_stop_signal_of_its_own(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGQUIT, lambda *_: (print('quit'), sys.exit(0))); " + STEADY
    with supervised(tmp_path, child("a", code, stop_signal=signal.SIGQUIT)) as run:
        run.has(1)
        run.signal(signal.SIGTERM)
        run.ended()
        assert "a| quit" in run.lines


def test_a_child_that_dies_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a"), child("b", WITH_GRANDCHILD)) as run:
        first = run.has(3).pids("b")
        os.kill(first[0], signal.SIGKILL)
        run.has(5)
        wait_until(lambda: gone(first))
        assert len(run.pids("a")) == 1
        assert alive(run.pids("a")[0])


def test_a_child_that_keeps_dying_is_given_up_with_its_last_words_and_all_are_stopped(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a"), child("b", "print('error: no such table'); raise SystemExit(3)")) as run:
        assert run.ended() == 0
        assert run.lines.count("b| error: no such table") == 3
        assert "GaveUp(name='b', reason='b died 3 times in a row just after its start" in run.lines[-1]
        assert "exit status 3" in run.lines[-1]
        assert "no such table" in run.lines[-1].partition("last_lines")[2]
        assert gone(run.pids())


def test_a_child_that_ends_with_exit_status_2_is_not_started_again_and_its_own_line_says_why_once(
    tmp_path: Path,
) -> None:
    why = "port 1 is taken; name another"
    code = f"print('tries'); print('error: no disk'); print('error: {why}'); raise SystemExit(2)"
    with supervised(tmp_path, child("a"), child("b", code), child("c")) as run:
        assert run.ended() == 0
        assert run.lines.count("b| tries") == run.lines.count("b| error: no disk") == 1
        assert [line for line in run.lines if why in line] == [f"ended: Refused(name='b', reason='{why}')"]
        assert run.lines[-1].startswith("ended: ")
        assert "child_refused" in run.lines
        assert gone(run.pids())


def test_a_child_is_ready_when_it_says_so_and_not_before(tmp_path: Path) -> None:
    code = f"import time; print('not yet'); time.sleep(0.2); print('now it listens'); {STEADY}"
    with supervised(tmp_path, child("a", code, ready_words="listens"), child("b")) as run:
        run.has(2)
        ready = run.lines.index("child_ready")
        assert run.lines.index("a| not yet") < run.lines.index("a| now it listens") < ready
        assert ready < next(number for number, line in enumerate(run.lines) if line.startswith("b| pid"))


def test_a_child_that_ends_before_it_is_ready_is_never_called_ready(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a", "print('tries')", ready_words="listens")) as run:
        run.ended()
        assert run.lines.count("a| tries") == 3
        assert "child_ready" not in run.lines


def test_nobody_waits_for_a_child_that_may_take_as_long_as_it_takes(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a", STEADY, ready=never, ready_within=None), child("b")) as run:
        run.has(2)
        run.until(lambda: "child_ready" in run.lines)
        assert "child_not_ready" not in run.lines


def test_that_all_are_ready_is_told_once_when_the_last_one_is(tmp_path: Path) -> None:
    up = tmp_path / "up"
    late = child("a", STEADY, ready=Exists(up), ready_within=None)
    with supervised(tmp_path, late, child("b")) as run:
        run.until(lambda: "child_ready" in run.lines)
        assert "all ready" not in run.lines
        up.touch()
        run.until(lambda: "all ready" in run.lines)
        os.kill(run.has(2).pids("b")[0], signal.SIGKILL)
        run.until(lambda: run.lines.count("child_ready") == 3)
        assert run.lines.count("all ready") == 1


def test_that_all_are_ready_is_not_told_where_one_is_given_up(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a"), child("b", "raise SystemExit(2)", ready=never, ready_within=None)) as run:
        run.ended()
        assert "all ready" not in run.lines


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with supervised(tmp_path, ChildSpec("a", ["/no/such/program"], {})) as run:
        run.ended()
        assert "/no/such/program cannot be run: No such file or directory" in run.lines[-1]


PATIENT = replace(POLICY, quick=timedelta(milliseconds=1))  # no life is quick, but one that never got ready


def test_a_child_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    soon = timedelta(seconds=0.1)
    with supervised(tmp_path, child("a", STEADY, ready=never, ready_within=soon), policy=PATIENT) as run:
        run.ended()
        assert "GaveUp(name='a'" in run.lines[-1]
        wait_until(lambda: gone(run.pids()))


def test_a_child_has_to_get_ready_in_each_of_its_lives(tmp_path: Path) -> None:
    up = tmp_path / "up"
    up.touch()
    spec = child("a", STEADY, ready=Exists(up), ready_within=timedelta(seconds=0.1))
    with supervised(tmp_path, spec, policy=PATIENT) as run:
        run.until(lambda: "child_ready" in run.lines)
        up.unlink()
        os.kill(run.has(1).pids()[0], signal.SIGKILL)
        run.ended()
        assert "GaveUp(name='a'" in run.lines[-1]


def test_a_stop_while_a_child_is_waited_for_or_rests_is_quick(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a", STEADY, ready=never), child("b")) as run:
        run.has(1)
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
        assert run.pids("b") == []


def test_a_grandchild_that_holds_the_output_open_does_not_hold_up_the_restart(tmp_path: Path) -> None:
    code = "import subprocess; other = subprocess.Popen(['sleep', '600']); print('pid', other.pid)"
    with supervised(tmp_path, child("a", code)) as run:
        assert run.ended() == 0
        assert len(run.pids()) == 3
        wait_until(lambda: gone(run.pids()))


def test_output_is_forwarded_whole_however_it_is_cut(tmp_path: Path) -> None:
    code = (
        "import sys; sys.stdout.buffer.write(b'\\xff one' + b'x' * 200_000 + b'\\ntwo\\n  three'); sys.stdout.flush()"
    )
    with supervised(tmp_path, child("a", code)) as run:
        run.ended()
        text = "\n".join(line.removeprefix("a| ") for line in run.lines)
        assert text.count("x" * 60_000) >= 3
        assert "a| two" in run.lines
        assert "a|   three" in run.lines


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a"), ignored=[signal.SIGHUP]) as run:  # as nohup leaves it
        run.has(1).signal(signal.SIGHUP)
        run.signal(signal.SIGTERM)
        run.ended()
        assert run.lines.count("supervisor_stops") == 1
        assert "supervisor_hurries" not in run.lines


def test_a_readiness_check_with_a_bug_ends_all_instead_of_hiding_it(tmp_path: Path) -> None:
    with supervised(tmp_path, child("a"), child("b", STEADY, ready=buggy)) as run:
        assert run.ended() == 1
        assert "keeper_failed" in run.lines
        wait_until(lambda: gone(run.pids()))


def _guard_of(run: Run) -> int:
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    (guard,) = {int(word) for word in children} - set(run.pids())
    return guard


def _ignores(pid: int, number: signal.Signals) -> bool:
    (mask,) = (line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigIgn" in line)
    return bool(int(mask, 16) >> (number - 1) & 1)
