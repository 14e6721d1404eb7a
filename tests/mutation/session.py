"""One pytest session that stays at its start: it has collected, and every mutant is tried in a fork of it.

So a mutant costs its tests and nothing else: interpreter and libraries are warm.
"""

from __future__ import annotations

import ast
import functools
import gc
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import hypothesis
import pytest

from tests.mutation.mutants import Mutant

__all__ = [
    "KILLED", "OUT_OF_TIME", "SURVIVED", "Coverage", "Session", "collected", "in_fork", "put_in_place",
    "put_value_in_place",
]  # fmt: skip

KILLED, SURVIVED, OUT_OF_TIME = "killed", "survived", "out of time"
_MEMORY = 6 << 30  # resident bytes a mutant may have; no limit of the kernel's, as large arrays are mapped and not used
_WALL = 240  # seconds after which one that only waits is ended; more of them as it may work longer

# Which tests run which lines, and CPU seconds of each test.
Coverage = dict[str, Any]


class _Held:
    """Plugin: runs `work` instead of the tests."""

    def __init__(self, work: Callable[[pytest.Session], None]) -> None:
        self.work = work

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.work(session)
        return True


def collected(tests: Iterable[str], work: Callable[[Session], None], examples: int) -> int:
    """Call `work` with a session that has collected these tests."""
    found = [name for test in tests for name in ([test] if "::" in test else sorted(map(str, Path().glob(test))))]
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "-W", "ignore", *found]
    return int(pytest.main(arguments, plugins=[_Held(lambda session: work(Session(session, examples)))]))


class Session:
    """What was collected, to be run as often as one likes."""

    def __init__(self, session: pytest.Session, examples: int) -> None:
        self.pytest = session
        self.items = {item.nodeid: item for item in session.items}
        for item in session.items:
            _fewer_examples(item, examples)
        found = [object_ for object_ in gc.get_objects() if isinstance(object_, functools._lru_cache_wrapper)]
        self.caches = [c for c in found if c.__module__.split(".")[0] in ("swaptrace", "tests")]

    def passes(self, name: str) -> bool:
        """Run one test, fixtures and all; nothing of it stays."""
        self.pytest.testsfailed = 0
        for cache in self.caches:
            cache.cache_clear()
        item = self.items[name]
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.pytest.testsfailed

    def cover(self, limit: float, root: Path) -> Coverage:
        """Run every test; those that fail or need more than `limit` seconds of CPU are left out."""
        lines: dict[str, dict[int, list[str]]] = {}
        seconds: dict[str, float] = {}
        left_out: dict[str, str] = {}
        for name in self.items:
            passed, spent, data = self._covered(name, limit, root)
            if not passed or spent > limit:
                left_out[name] = "too long" if spent > limit else "fails"
                continue
            seconds[name] = round(spent, 3)
            for file in data.measured_files():
                of_file = lines.setdefault(str(Path(file).relative_to(root)), {})
                for line in data.lines(file) or ():
                    of_file.setdefault(line, []).append(name)
        return {"seconds": seconds, "lines": lines, "left_out": left_out}

    def _covered(self, name: str, limit: float, root: Path) -> tuple[bool, float, coverage.CoverageData]:
        """Run one test: whether it passes, seconds of CPU, and the lines that it runs."""
        tracer = coverage.Coverage(data_file=None, include=[f"{root}/swaptrace/*"], config_file=False)
        signal.signal(signal.SIGPROF, _too_long)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, limit)
        tracer.start()
        try:
            passed = self.passes(name)
        except _TooLong:
            passed = False
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            tracer.stop()
        return passed, time.process_time() - started, tracer.get_data()

    def verdict(self, names: list[str]) -> str:
        """Whether one of these tests notices, and on a second line which. For a fork."""
        return next((f"{KILLED}\n{name}" for name in names if not self.passes(name)), SURVIVED)


class _TooLong(BaseException):
    pass


def _too_long(*_: object) -> None:
    raise _TooLong


def _fewer_examples(item: pytest.Item, most: int) -> None:
    """Let hypothesis try the same few examples every time."""
    function = getattr(item, "obj", None)
    function = getattr(function, "__func__", function)
    if not getattr(function, "is_hypothesis_test", False):
        return
    usual = getattr(function, "_hypothesis_internal_use_settings", None) or hypothesis.settings.default
    assert usual is not None
    fewer = min(most, usual.max_examples)
    quick = [phase for phase in usual.phases if phase.name in ("explicit", "generate")]  # a failure need not be small
    function._hypothesis_internal_use_settings = hypothesis.settings(  # type: ignore[union-attr]
        usual, max_examples=fewer, deadline=None, derandomize=True, database=None, phases=quick,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip


def put_in_place(mutant: Mutant, root: Path) -> bool:
    """Give the mutated function's code to the function that is there. False if there is none."""
    file = str(root / mutant.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = compile(mutant.source(), file, "exec", dont_inherit=True)
    codes = {(code.co_qualname, code.co_firstlineno): code for code in _functions(changed)}
    found = False
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename == file:
            new = codes.get((thing.__code__.co_qualname, thing.__code__.co_firstlineno))
            if new is not None and thing.__code__.co_qualname == mutant.function:
                thing.__code__ = new
                found = True
    return found


def put_value_in_place(mutant: Mutant) -> bool:
    """Give a module's table (or other value) its mutated value, wherever it has been imported. False if it is none.

    What other modules have computed from the old value stays: at worst a mutant survives for it that need not.
    """
    tree = ast.parse(mutant.source())
    held = [node for node in tree.body if node.lineno <= mutant.line <= (node.end_lineno or 0)]
    module = sys.modules.get(mutant.path.removesuffix(".py").replace("/", "."))
    if module is None or len(held) != 1 or not isinstance(held[0], ast.Assign | ast.AnnAssign):
        return False
    before = dict(vars(module))
    exec(compile(ast.Module(held, []), mutant.path, "exec", dont_inherit=True), vars(module))
    for name, value in vars(module).items():
        old = before.get(name)
        if old is value or old is None or isinstance(old, bool | int | str):  # small values are everywhere
            continue
        for other in list(sys.modules.values()):
            if getattr(other, "__name__", "").partition(".")[0] in ("swaptrace", "tests"):
                for alias in [alias for alias, found in vars(other).items() if found is old]:
                    setattr(other, alias, value)
    return True


def _functions(code: CodeType) -> Iterable[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _functions(constant)


def in_fork(work: Callable[[], str], seconds: float) -> str:
    """What `work` says in a fork of this process, which gets so many seconds of CPU (and many more on the wall)."""
    wall = _WALL + 10 * seconds
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _work(work, seconds, wall, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        while not select.select([pipe], [], [], 0.2)[0]:
            if _resident(child) > _MEMORY:
                os.kill(child, signal.SIGKILL)
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if said:
        return said
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return OUT_OF_TIME if ended in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL) else KILLED


def _resident(process: int) -> int:
    """Bytes; 0 once it has ended."""
    fields = Path(f"/proc/{process}/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()


def _work(work: Callable[[], str], seconds: float, wall: float, writing: int) -> None:
    """The fork's side."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.alarm(int(wall))
        spent = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent + seconds) + 1, int(spent + seconds) + 5))
        _without_output()
        said = work()
        os.write(writing, said.encode())
        status = 0
    finally:
        os._exit(status)  # whatever happened: the rest belongs to the parent


def _without_output() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.stdout.flush()
