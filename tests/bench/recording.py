"""Recording itself, on this machine: how soon it is ready, what memory it takes, and whether it loses events.

Usage: python -m tests.bench.recording EVENTS_A_SECOND SECONDS. Prints JSON.

It is `swaptrace record` in all its parts, with two differences. Its ring is filled by a program on a raw tracepoint,
which a process on another processor enters at a steady rate, so that the rate is known and a kernel without kprobes
will do. And where this kernel lacks a function or a type that the programs need, another one stands in for it: they are
compiled, all of them, but attached to nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["measure"]

_A_CALL = 64  # events
_MADE_UP_FOR = 0.05  # seconds
_GETPPID = {"x86_64": 110, "aarch64": 173}
_SOMEWHERE = 0xFFFFFFFF81000000  # the address of what this kernel does not have
_PRODUCER = """
RAW_TRACEPOINT_PROBE(sys_enter) {
    if (bpf_get_current_pid_tgid() >> 32 != FILLER || ctx->args[1] != CALL)
        return 0;
    struct event event = {};
    event.time = bpf_ktime_get_ns();
    event.run = 1;
    event.tgid = FILLER;
    u32 random = bpf_get_prandom_u32();
    for (int i = 0; i < A_CALL; i++) {
        event.time += 100;
        event.kind = i & 1 ? EVENT_FREE : EVENT_STORE;
        event.slot = (random + i) & 0xfffff;
        event.size = random >> (i & 15) & 0xfff;
        emit(&event, 1);
    }
    return 0;
}
"""


def measure(rate: int, seconds: float) -> dict[str, Any]:
    """Record that many events a second, in a process of its own. Raises CalledProcessError where it cannot be.

    ready_s, ready_cpu_s: from its start until it records, by the clock and of the processor. programs: how many were
    compiled. sent, written, lost: events. took: seconds in which they were sent. starting: bytes, the most resident
    until it records. resident, locked: the same while it does. cpu_s: its processor time then.
    """
    command = [sys.executable, "-m", "tests.bench.recording", str(rate), str(seconds)]
    environment = {**os.environ, "STARTED": str(time.clock_gettime(time.CLOCK_MONOTONIC))}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, text=True)
    return dict(json.loads(done.stdout))


class _Producer:
    """A process that makes events at a steady rate, once it is told to, and then ends the recording."""

    def __init__(self, rate: int, seconds: float) -> None:
        self.events = int(rate * seconds) // _A_CALL * _A_CALL
        go, self._go = os.pipe()
        recorder = os.getpid()
        self._made, made = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            os.setpriority(os.PRIO_PROCESS, 0, -20)
            os.close(self._go)
            if not os.read(go, 1):  # the recorder is gone
                os._exit(1)
            os.write(made, str(self._call(rate / _A_CALL, self.events // _A_CALL)).encode())
            os.kill(recorder, signal.SIGINT)
            os._exit(0)

    @staticmethod
    def _call(rate: float, calls: int) -> float:
        """So many calls, at that rate. Returns how long it took (seconds).

        On a busy machine it has to pause now and then, and makes up for a part of that, which is a burst.
        """
        start = last = time.monotonic()
        due, made = 0.0, 0
        while made < calls:
            now = time.monotonic()  # and no sleep: on a busy machine that takes longer than it should
            due += min(now - last, _MADE_UP_FOR) * rate
            last = now
            while made < min(due, calls):
                os.getppid()
                made += 1
        return time.monotonic() - start

    def start(self) -> None:
        os.write(self._go, b"g")

    def took(self) -> float:
        """Seconds. Returns when it has made all events."""
        return float(os.read(self._made, 100))


def _stand_in(producer: _Producer) -> None:
    """Let `record` do with what this kernel has, and the producer's program be one of its own."""
    from swaptrace.kernel import probes
    from swaptrace.kernel.btf import KernelTypes
    from swaptrace.tracing import environment, programs, source

    def attach(self: programs.Programs) -> list[dict[str, Any]]:
        return [{"event": choice.probe.event, "functions": [], "by": None} for choice in self._choices]

    compile_programs = programs.compile_programs
    constants = (
        f"#define FILLER {producer.pid}\n#define A_CALL {_A_CALL}\n#define CALL {_GETPPID[os.uname().machine]}\n"
    )
    addresses, module = probes.Symbols.addresses, KernelTypes.module
    patches: list[tuple[Any, str, Callable[..., Any]]] = [
        (source, "require", lambda ground: None),
        (environment, "features_off", lambda root: {}),
        (programs, "compile_programs", lambda bcc, text: compile_programs(bcc, text + constants + _PRODUCER)),
        (programs.Programs, "attach", attach),
        (probes.Symbols, "addresses", lambda self, names: dict.fromkeys(names, _SOMEWHERE) | addresses(self, names)),
        (KernelTypes, "module", lambda self, name: module(self, name) or self.vmlinux),
    ]
    for where, name, what in patches:
        setattr(where, name, what)


def _status(name: str) -> int:
    """A line of this process's status, bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    rate, seconds = int(sys.argv[1]), float(sys.argv[2])
    found: dict[str, Any] = {}
    producer = _Producer(rate, seconds)
    from swaptrace.tracing.footprint import frugal_arrow

    with frugal_arrow():
        from swaptrace import running
        from swaptrace.record import recorder

    _stand_in(producer)
    run = running.run

    def run_and_look(source: Any, sinks: Any, *arguments: Any) -> Any:
        found["ready_s"] = time.clock_gettime(time.CLOCK_MONOTONIC) - float(os.environ["STARTED"])
        found["ready_cpu_s"] = time.process_time()
        found["starting"] = _status("VmHWM")
        live = source._source  # what marks are added to
        found["programs"] = len({c for choice in live._choices for c in choice.chosen})
        Path("/proc/self/clear_refs").write_text("5")  # from here on, the peak is that of recording
        poll = source.poll

        def first_poll() -> Any:  # by then, record knows what to do with the signal that will end it
            producer.start()
            source.poll = poll
            return poll()

        source.poll = first_poll
        before = time.process_time()
        trailer = run(source, sinks, *arguments)
        found.update(cpu_s=time.process_time() - before, resident=_status("VmHWM"), locked=_status("VmLck"))
        found.update(written=sinks[-1].events, lost=sum(trailer.losses().values()))
        return trailer

    running.run = run_and_look
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        recorder.record(path, None, (), duration=None, force=False, ring_bytes=None)
        found["bytes"] = path.stat().st_size
    found.update(sent=producer.events, took=producer.took())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
