"""Live is what goes on, started what has passed, ready what can reach all that it needs."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer

from worker.cli.health import Role, health
from worker.telemetry.attendance import Attendance, Watch
from worker.telemetry.consumer import CONSUMER, ConsumerWatch
from worker.telemetry.health import Question, judge
from worker.telemetry.pulse import Part, Pulse, PulseWriter, read_pulse
from worker.telemetry.slots import slots_in_use, take_slot

NOW = 1_000.0


def pulse(lacks: dict[str, str] | None = None, **parts: Part) -> Pulse:
    return Pulse(1, "here", NOW - 500, parts, lacks or {})


@pytest.mark.parametrize(
    ("one", "live", "started", "ready"),
    [
        (pulse(loop=Part(10, NOW - 5)), True, True, True),
        (pulse(loop=Part(10, NOW - 69)), True, True, True),
        (pulse(loop=Part(10, NOW - 71)), False, True, False),
        (pulse(slow=Part(600, NOW - 500)), True, True, True),
        (pulse(loop=Part(10, NOW), never=Part(10)), False, False, False),
        (pulse({"broker": "refused"}, loop=Part(10, NOW)), True, True, False),
    ],
)
def test_each_question_has_its_own_answer(one: Pulse, *, live: bool, started: bool, ready: bool) -> None:
    answers = [judge({"a-0": one}, question, NOW, within=60).well for question in Question]
    assert dict(zip(Question, answers, strict=True)) == {
        Question.LIVE: live,
        Question.STARTUP: started,
        Question.READY: ready,
    }


def test_of_several_processes_each_has_to_be_well_and_the_one_that_is_not_is_named() -> None:
    pulses = {"worker-0": pulse(consumer=Part(0, NOW)), "worker-1": pulse(consumer=Part(0, NOW - 90))}
    assert judge(pulses, Question.LIVE, NOW, 60).reasons == ("worker-1: the consumer has not passed for 90 s",)


@pytest.mark.parametrize(("asked", "told"), [({}, "live"), ({"ready": True}, "ready"), ({"startup": True}, "started")])
def test_of_who_is_well_the_answer_is_told_and_not_the_question(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: dict[str, bool],
    told: str,
) -> None:
    monkeypatch.setenv("COACHSYNC_HOME", str(tmp_path))
    here = Pulse(os.getpid(), socket.gethostname(), time.monotonic(), {}, {})
    PulseWriter(take_slot(tmp_path, "worker").folder, here, time.monotonic)
    with pytest.raises(typer.Exit) as ended:
        health(Role.WORKER, **asked)
    assert (ended.value.exit_code, capsys.readouterr().out) == (0, f"worker: {told}\n")


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told(tmp_path: Path, clock: Clock) -> PulseWriter:
    return PulseWriter(tmp_path, Pulse(1, "here", NOW, {CONSUMER: Part(0.0)}, {}), clock)


@pytest.mark.parametrize(
    ("turned", "took", "waiting", "full", "passes"),
    [
        (True, False, 0, False, True),
        (True, True, 7, False, True),
        (True, False, 7, True, True),
        (True, False, 7, False, False),
        (False, False, 0, False, False),
        (False, True, 7, True, False),
        (False, False, None, False, True),
    ],
    ids=["idle", "takes", "has all it may", "takes nothing", "does not turn", "stands still", "the broker is away"],
)
def test_a_consumer_passes_while_it_takes_what_waits_or_can_be_blamed_for_nothing(  # noqa: PLR0913 - a table's columns
    tmp_path: Path,
    told: PulseWriter,
    *,
    turned: bool,
    took: bool,
    waiting: int | None,
    full: bool,
    passes: bool,
) -> None:
    watch = ConsumerWatch(told, lambda: waiting, lambda: full)
    if turned:
        watch.turned()
    if took:
        watch.took(sender=None, request=None)
    watch.look()
    written = read_pulse(tmp_path)
    assert written
    assert (written.parts[CONSUMER].passed_at == NOW) is passes


def test_what_was_seen_once_does_not_count_for_the_next_look(tmp_path: Path, told: PulseWriter, clock: Clock) -> None:
    watch = ConsumerWatch(told, lambda: 3, lambda: False)
    watch.turned()
    watch.took()
    watch.look()
    clock.now += 5
    watch.look()
    written = read_pulse(tmp_path)
    assert written
    assert written.parts[CONSUMER].passed_at == NOW


def test_a_watch_that_meets_a_bug_looks_again(tmp_path: Path) -> None:
    looks: list[int] = []
    enough = threading.Event()

    def broken() -> None:
        looks.append(1)
        if len(looks) > 1:
            enough.set()
        raise ZeroDivisionError

    attendance = Attendance(take_slot(tmp_path, "worker"), PulseWriter(tmp_path, pulse(), time.monotonic))
    with Watch(attendance, {}, broken):
        assert enough.wait(20)


def test_a_shorter_pulse_leaves_nothing_of_a_longer_one(tmp_path: Path, told: PulseWriter) -> None:
    told.lacks({"broker": "x" * 500})
    told.lacks({})
    written = read_pulse(tmp_path)
    assert written
    assert written.lacks == {}


@pytest.mark.parametrize("garbage", ["", "{", "[]", "7", "{}", '{"parts": {"a": {"b": 1}}}', "\x00" * 70_000])
def test_a_pulse_that_is_none_is_not_taken_for_one(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "pulse").write_text(garbage)
    assert read_pulse(tmp_path) is None


def test_what_is_no_slot_is_passed_over(tmp_path: Path) -> None:
    slot = take_slot(tmp_path, "worker")
    (slot.folder.parent / "worker-x").mkdir()
    (slot.folder.parent / "worker-7").write_text("a file")
    assert slots_in_use(tmp_path, "worker") == [slot]


def test_a_slot_is_its_process_s_while_it_lives_and_empty_for_the_next(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path, "worker"), take_slot(tmp_path, "worker")
    loops = take_slot(tmp_path, "loops")
    assert [slot.name for slot in (first, second, loops)] == ["worker-0", "worker-1", "loops-0"]
    program = (
        "import sys; from pathlib import Path; from worker.telemetry.slots import take_slot\n"
        "slot = take_slot(Path(sys.argv[1]), 'worker'); (slot.folder / 'left').touch()\n"
        "print(slot.name, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "worker-2\n"
        assert [slot.name for slot in slots_in_use(tmp_path, "worker")] == ["worker-0", "worker-1", "worker-2"]
        process.kill()
    assert [slot.name for slot in slots_in_use(tmp_path, "worker")] == ["worker-0", "worker-1"]
    third = take_slot(tmp_path, "worker")
    assert (third.name, sorted(one.name for one in third.folder.iterdir())) == ("worker-2", ["lock"])
