"""The loop between a source and its sinks."""

from __future__ import annotations

import signal

import pytest
from builders import START, batch, free, store, trailer

from swaptrace import running
from swaptrace.events import EventBatch
from swaptrace.running import Moment, Sink, run
from swaptrace.stopping import Stop
from swaptrace.trace.header import Trailer


class Source:
    """Three batches while it runs, then it stops itself by `reason`; two more at the end."""

    def __init__(self, stop: Stop, reason: str = "SIGINT") -> None:
        self.stop, self.reason, self.polled = stop, reason, 0
        self.ended: tuple[int | None, str] | None = None

    def poll(self) -> EventBatch:
        self.polled += 1
        if self.polled == 3:
            self.stop.handle(signal.Signals[self.reason])
        return batch([store(START + self.polled, 0, self.polled, 100)])

    def lost(self) -> int:
        return 10 * self.polled

    def moment(self) -> Moment:
        return Moment(START + self.polled)

    def finish(self, exit_status: int | None, reason: str) -> tuple[list[EventBatch], Trailer]:
        self.ended = exit_status, reason
        return [batch([free(START + 10 + n, 0, n)]) for n in (1, 2)], trailer(START + 99, reason=reason)


class Seen(Sink):
    def __init__(self) -> None:
        self.calls: list[object] = []

    def feed(self, batch: EventBatch) -> None:
        self.calls.append(int(batch.events["time"][0]) - START)

    def tick(self, source: running.Source) -> None:
        self.calls.append(f"lost {source.lost()}")

    def close(self, trailer: Trailer) -> None:
        self.calls.append(trailer.reason)


def test_every_sink_sees_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_TICK", 0)
    stop, sinks = Stop(), [Seen(), Seen()]
    source = Source(stop)
    assert run(source, sinks, stop).reason == "SIGINT"
    assert sinks[0].calls == sinks[1].calls == [1, "lost 10", 2, "lost 20", 3, "lost 30", 11, 12, "SIGINT"]
    assert source.ended == (None, "SIGINT")


def test_ticks_come_once_a_second_at_most() -> None:
    stop, sink = Stop(), Seen()
    run(Source(stop), [sink], stop)
    assert sink.calls == [1, 2, 3, 11, 12, "SIGINT"]


def test_a_stop_that_is_due_takes_what_is_there() -> None:
    sink = Seen()
    source = Source(Stop())
    assert run(source, [sink], Stop(0)).reason == "duration"
    assert (source.polled, sink.calls) == (0, [11, 12, "duration"])


@pytest.mark.parametrize(("command", "status"), [(("true",), 0), (("sh", "-c", "exit 7"), 7)])
def test_it_ends_with_its_command(command: tuple[str, ...], status: int) -> None:
    source = Source(Stop())
    source.reason = "SIGUSR1"  # to another Stop than that of the loop
    assert run(source, [], Stop(60), command).reason == "command ended"
    assert source.ended == (status, "command ended")


def test_what_a_sink_raises_ends_the_command() -> None:
    class Full(Sink):
        def feed(self, batch: EventBatch) -> None:
            raise OSError("no space left")

    source = Source(Stop())
    with pytest.raises(OSError, match="no space"):
        run(source, [Full()], Stop(60), ("sleep", "1000"))
    assert source.ended is None


def test_a_sink_need_not_listen() -> None:
    stop = Stop()
    assert run(Source(stop), [Sink()], stop).reason == "SIGINT"
