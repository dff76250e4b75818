"""A child process as the supervisor runs it: started, heard, stopped."""

import asyncio
import os
import time
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from signal import Signals

from worker.embedded.guard import Guard
from worker.embedded.lines import LineCutter
from worker.embedded.parent_death import dying_with_us

LAST_LINES = 20
_CHUNK = 65_536
_LEFT_OUTPUT = 1.0  # seconds for what is left in the pipe after the end

Forward = Callable[[str, str], None]  # the child's name, a line
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """``env`` is the whole environment.

    Ready it is once ``ready``, asked again and again with its pid in a thread, says yes; or once a line of its output
    has ``ready_words`` in it. ``ready_within`` None: that may take as long as it takes, and nobody waits for it.
    ``keep_open`` are descriptors it inherits; ``log_file`` is where its last words are if its output has none.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[int], bool] | None = None
    ready_words: str | None = None
    ready_within: timedelta | None = timedelta(seconds=30)
    stop_signal: Signals = Signals.SIGTERM
    grace: timedelta = timedelta(seconds=10)
    keep_open: tuple[int, ...] = ()
    log_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """``status`` is negative where a signal killed it, None where it was not even started; ``how`` is that in words."""

    status: int | None
    how: str
    lived: timedelta
    last_lines: tuple[str, ...]


class Child:
    """One process in a group of its own, so that a Ctrl-C at the terminal reaches the supervisor alone."""

    def __init__(self, spec: ChildSpec, process: Process, output: "_Output", guard: Guard) -> None:
        self.spec = spec
        self._process = process
        self._output = output
        self._guard = guard
        self._since = time.monotonic()

    @classmethod
    async def start(cls, spec: ChildSpec, guard: Guard, forward: Forward) -> "Child":
        """Raises ``OSError`` where the system has no process or descriptor left."""
        output = await _Output.open(lambda line: forward(spec.name, line))
        try:
            process = await asyncio.create_subprocess_exec(
                *dying_with_us(spec.argv, Signals.SIGKILL),
                env=spec.env,
                stdin=DEVNULL,
                stdout=output.write_end,
                stderr=output.write_end,
                start_new_session=True,
                pass_fds=spec.keep_open,
            )
        except OSError:
            await output.end()
            raise
        finally:
            os.close(output.write_end)
        guard.watch(process.pid)
        return cls(spec, process, output, guard)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> Ended:
        """Wait for its end; what is left of its group goes with it."""
        status = await self._process.wait()
        lived = timedelta(seconds=time.monotonic() - self._since)
        self._signal_group(Signals.SIGKILL)
        self._guard.forget(self._process.pid)
        words = await self._output.end()
        how = f"killed by {Signals(-status).name}" if status < 0 else f"exit status {status}"
        return Ended(status, how, lived, words or last_lines(self.spec.log_file))

    def ask_to_stop(self) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(self.spec.stop_signal)

    def kill(self) -> None:
        self._signal_group(Signals.SIGKILL)

    def _signal_group(self, number: Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class _Output:
    """A pipe of our own. Process.wait() would wait for asyncio's to be closed, by a grandchild that may never."""

    def __init__(self, write_end: int, reader: asyncio.StreamReader, pipe: asyncio.BaseTransport, tell: Tell) -> None:
        self.write_end = write_end
        self._pipe = pipe
        self._tell_line = tell
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._hearing = asyncio.create_task(self._hear(reader))

    @classmethod
    async def open(cls, tell: Tell) -> "_Output":
        read_end, write_end = os.pipe()
        reader = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
        return cls(write_end, reader, pipe, tell)

    async def end(self) -> tuple[str, ...]:
        """Hear what is still in the pipe, close it, and give the last lines."""
        await asyncio.wait({self._hearing}, timeout=_LEFT_OUTPUT)
        self._pipe.close()
        await self._hearing
        return tuple(self._last)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        cutter = LineCutter()
        while chunk := await reader.read(_CHUNK):
            self._tell(cutter.feed(chunk))
        self._tell(cutter.end())

    def _tell(self, lines: Sequence[str]) -> None:
        self._last.extend(lines)
        for line in lines:
            with suppress(BrokenPipeError):  # nobody reads our output any more; the children go on
                self._tell_line(line)


def last_lines(path: Path | None) -> tuple[str, ...]:
    """The end of a log file; nothing where there is none."""
    if path is None or not path.is_file():
        return ()
    with path.open("rb") as file:
        file.seek(-min(_CHUNK, path.stat().st_size), os.SEEK_END)
        return tuple(file.read().decode("utf-8", "replace").splitlines()[-LAST_LINES:])
