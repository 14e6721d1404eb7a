"""make mutants: how many small faults, put into the code on purpose, do the unit tests notice?

Usage: python -m tests.mutation [--sample N] [--seed WORD] [--only FOLDER] [--fresh]. Prints the survivors and a table;
the verdict of each mutant is kept in build/mutants until code, tests or this tool change, so that a run that was ended
goes on where it was.

pyproject.toml's [tool.mutants] says what is mutated, and which tests are asked; tests/mutation/equivalent.toml lists
mutants that no test can notice, each with the reason. Tests that start another process do not see a mutant there.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.mutation import uncompiled
from tests.mutation.mutants import MODULE, Mutant, mutants_of
from tests.mutation.session import (
    KILLED,
    OUT_OF_TIME,
    SURVIVED,
    Coverage,
    Session,
    collected,
    in_fork,
    put_in_place,
    put_value_in_place,
)

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build/mutants"
UNTESTED = "no test runs it"
ELSEWHERE = "needs the whole module"  # what is made where classes and functions are: not a verdict

# Slow to load; all that swaptrace and its tests need.
LIBRARIES = (
    "click", "hypothesis", "hypothesis.extra.numpy", "jinja2", "matplotlib.figure", "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg", "numpy", "pandas", "pyarrow.parquet", "rich.table",
)  # fmt: skip

Settings = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, help="mutants a folder, instead of pyproject.toml's number; 0: all")
    parser.add_argument("--seed", help="another sample than pyproject.toml's: one that no test was written for")
    parser.add_argument("--only", action="append", help="one of the folders (may be repeated)")
    parser.add_argument("--fresh", action="store_true", help="try again what has been tried")
    parser.add_argument("--report", action="store_true", help="only print what has been tried")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    OUT.mkdir(parents=True, exist_ok=True)
    settings: Settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]
    folders: dict[str, Settings] = settings.pop("folders")
    settings |= {name: value for name in ("sample", "seed") if (value := getattr(chosen, name)) is not None}
    tried = []
    for name in chosen.only or folders:
        folder = Folder(name, settings | folders[name])
        if chosen.fresh:
            folder.log.unlink(missing_ok=True)
        if not chosen.report:
            # in a process of its own: some are run without what is compiled, and what is loaded stays loaded
            _apart(folder.run)
        tried.append(folder)
    report(tried)


class Folder:
    """The mutants of one row of pyproject.toml's table, and what has been found of them."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        digest = _digest(settings["files"], settings["tests"])
        self.log = OUT / f"{name}-{digest}.jsonl"
        self.kept_coverage = OUT / f"{name}-{digest}-coverage.json"
        found = [m for pattern in settings["files"] for f in sorted(ROOT.glob(pattern)) for m in self.mutants(f)]
        number: int = settings["sample"]
        self.mutants_tried = sorted(found, key=lambda m: m.rank(settings["seed"]))[: number or None]
        self.of = len(found)
        self.noticed: dict[str, Counter[str]] = {}  # by file: how many of its mutants each test was the first to notice
        self.in_forks: dict[str, bool] = {}  # by test: whether it passes in a fork
        self.loads_anew: dict[str, bool] = {}  # by test: whether it passes if all is loaded anew

    def mutants(self, file: Path) -> list[Mutant]:
        return mutants_of(ROOT, str(file.relative_to(ROOT)))

    def results(self) -> dict[str, str]:
        """Verdicts by the mutant's key."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [json.loads(line) for line in lines]
        self.noticed = {}
        for key, _, by in found:
            self._count(key.split("\n")[0], by)
        return {key: said for key, said, _ in found}

    def _count(self, path: str, by: str) -> None:
        if by:
            self.noticed.setdefault(path, Counter())[by] += 1

    def keep(self, mutant: Mutant, said: str) -> None:
        """said: the verdict, and the test that noticed it, if any."""
        verdict, _, by = said.partition("\n")
        self._count(mutant.path, by)
        with self.log.open("a") as log:
            log.write(json.dumps([mutant.key, verdict, by]) + "\n")

    # -- trying

    def run(self) -> None:
        """Try what has not been tried."""
        if self.settings.get("uncompiled"):
            uncompiled.switch_on()
        for library in LIBRARIES:
            importlib.import_module(library)
        known = self.results()
        todo = [mutant for mutant in self.mutants_tried if mutant.key not in known]
        _apart(lambda: collected(self.settings["tests"], lambda s: self.in_session(todo, s), self.settings["examples"]))
        known = self.results()
        coverage: Coverage = json.loads(self.kept_coverage.read_text())
        for mutant in todo:
            if mutant.key not in known:
                self.keep(mutant, self.try_module(mutant, coverage))

    def in_session(self, mutants: list[Mutant], session: Session) -> None:
        """What can be tried in the session that has collected all tests: mutants of functions and of values."""
        if not self.kept_coverage.exists():
            self.kept_coverage.write_text(json.dumps(session.cover(self.settings["slowest"], ROOT)))
        coverage: Coverage = json.loads(self.kept_coverage.read_text())
        for mutant in mutants:
            names = self.tests(mutant, coverage)

            def attempt(mutant: Mutant = mutant, names: list[str] = names) -> str:
                try:
                    placed = put_value_in_place(mutant) if mutant.function == MODULE else put_in_place(mutant, ROOT)
                except (SyntaxError, ValueError):  # ValueError: other free variables
                    placed = False
                return session.verdict(names) if placed else ELSEWHERE

            if not self.covering(mutant, coverage):  # or it runs when its module is loaded, which covers no test
                continue
            said = in_fork(attempt, self.seconds(names, coverage))
            while (test := said.partition("\n")[2]) and not self.passes_in_fork(test, session, coverage):
                names.remove(test)
                said = in_fork(attempt, self.seconds(names, coverage))
            if said == SURVIVED and mutant.function == MODULE:  # others may have computed something from the old value
                continue
            if said != ELSEWHERE:
                self.keep(mutant, said)

    def passes_in_fork(self, test: str, session: Session, coverage: Coverage) -> bool:
        """Whether a test passes in a fork if nothing is wrong: one that does not would notice everything."""
        if test not in self.in_forks:
            said = in_fork(lambda: session.verdict([test]), self.seconds([test], coverage))
            self.in_forks[test] = said == SURVIVED
        return self.in_forks[test]

    def try_module(self, mutant: Mutant, coverage: Coverage) -> str:
        """Defaults of parameters, fields of classes, what is called when a module is loaded: all is loaded anew."""
        names = self.tests(mutant, coverage)
        said = self.anew(names, coverage, _Mutated(mutant))
        while (test := said.partition("\n")[2]) and not self.passes_anew(test, coverage):
            names.remove(test)
            said = self.anew(names, coverage, _Mutated(mutant))
        return said if said != SURVIVED or (names and self.covering(mutant, coverage)) else UNTESTED

    def anew(self, names: list[str], coverage: Coverage, finder: _Mutated | None = None) -> str:
        """What these tests say if all is loaded anew, one module by `finder`."""
        said = [KILLED]  # also if they cannot be collected any more

        def work(session: Session) -> None:
            said[0] = session.verdict([name for name in names if name in session.items])

        def attempt() -> str:
            sys.meta_path[:0] = [finder] if finder else []
            collected(names, work, self.settings["examples"])
            return said[0]

        return in_fork(attempt, 15 + self.seconds(names, coverage)) if names else SURVIVED

    def passes_anew(self, test: str, coverage: Coverage) -> bool:
        """Whether a test passes if all is loaded anew and nothing is wrong."""
        if test not in self.loads_anew:
            self.loads_anew[test] = self.anew([test], coverage) == SURVIVED
        return self.loads_anew[test]

    def tests(self, mutant: Mutant, coverage: Coverage) -> list[str]:
        """Those that may notice the mutant, as many as there is time for.

        First the ones that were the first to notice another of that file, then quick ones; of a module's values, those
        that run most of the file.
        """
        seconds: dict[str, float] = coverage["seconds"]
        noticed = self.noticed.get(mutant.path, Counter())
        runs: Counter[str] = Counter()
        if mutant.function == MODULE:
            runs.update(test for tests in coverage["lines"].get(mutant.path, {}).values() for test in tests)
        chosen = self.covering(mutant, coverage) or self.loading(mutant, coverage)
        named: list[str] = []
        spent = 0.0
        for test in sorted(chosen, key=lambda test: (-noticed[test], -runs[test], seconds[test], test)):
            spent += seconds[test]
            if named and spent > self.settings["budget"]:
                break
            named.append(test)
        return named

    def covering(self, mutant: Mutant, coverage: Coverage) -> set[str]:
        """The tests that run its line. A module's values are used from anywhere: whatever loads it."""
        if mutant.function == MODULE:
            return self.loading(mutant, coverage)
        lines: dict[str, list[str]] = coverage["lines"].get(mutant.path, {})
        first, last = _statement(mutant)
        return {test for line in range(first, last + 1) for test in lines.get(str(line), ())}

    def loading(self, mutant: Mutant, coverage: Coverage) -> set[str]:
        """The tests that run anything of its file, or are in a file that names it."""
        seconds: dict[str, float] = coverage["seconds"]
        name = f"import {Path(mutant.path).stem}", f"{mutant.path.removesuffix('.py').replace('/', '.')} "
        naming = {f for f in {t.split("::")[0] for t in seconds} if any(n in (ROOT / f).read_text() for n in name)}
        chosen = {test for tests in coverage["lines"].get(mutant.path, {}).values() for test in tests}
        return chosen | {test for test in seconds if test.split("::")[0] in naming}

    def seconds(self, names: list[str], coverage: Coverage) -> float:
        """CPU seconds after which a mutant is taken for one that does not end."""
        return 5 + 4 * float(sum(coverage["seconds"][name] for name in names))


def _statement(mutant: Mutant) -> tuple[int, int]:
    """Lines of the smallest statement that holds a mutant; of a compound one, those of its head."""
    best = mutant.line, mutant.line
    size = 1 << 30
    for node in ast.walk(ast.parse(mutant.module.code)):
        if isinstance(node, ast.stmt) and node.lineno <= mutant.line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            length = (node.end_lineno or 0) - node.lineno
            if length < size:
                best, size = (node.lineno, max(end, node.lineno, mutant.line)), length
    return best


# -- the report


def report(folders: list[Folder]) -> None:
    reasons = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text()).get("equivalent", [])
    table = Table(title="Mutants", title_justify="left")
    headings = ("folder", "of", "tried", "killed", "out of time", "survived", "untested", "equivalent", "score")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "folder" else "right")
    out = Console(width=160, highlight=False, markup=False)
    for folder in folders:
        known = folder.results()
        tried = [mutant for mutant in folder.mutants_tried if mutant.key in known]
        counts: Counter[str] = Counter()
        for mutant in sorted(tried, key=lambda m: (m.path, m.line)):
            said = known[mutant.key]
            if said in (SURVIVED, UNTESTED):
                reason = _reason(mutant, reasons)
                said = "equivalent" if reason else said
                out.print(f"{mutant.path}:{mutant.line} {mutant.function}: {reason or said}")
                out.print(f"    - {mutant.was}\n    + {mutant.becomes}", soft_wrap=True)
            counts[said] += 1
        of = len(tried) - counts["equivalent"]
        killed = counts[KILLED] + counts[OUT_OF_TIME]
        numbers = [counts[name] for name in (KILLED, OUT_OF_TIME, SURVIVED, UNTESTED, "equivalent")]
        score = f"{100 * killed / of:.1f} %" if of else ""
        table.add_row(folder.name, str(folder.of), str(len(tried)), *map(str, numbers), score)
    out.print(table)
    for folder in folders:
        if folder.kept_coverage.exists():
            for name, why in json.loads(folder.kept_coverage.read_text())["left_out"].items():
                out.print(f"left out in {folder.name}: {name}: {why}")


def _reason(mutant: Mutant, reasons: list[dict[str, str]]) -> str | None:
    """Why no test can notice it, if the list says so."""
    said = {"function": mutant.function, "was": mutant.was, "becomes": mutant.becomes}
    for entry in reasons:
        if mutant.path.endswith(entry["file"]) and all(said[name] == entry.get(name, said[name]) for name in said):
            return entry["reason"]
    return None


# -- a module with a fault


class _Mutated(importlib.abc.MetaPathFinder):
    """Finds one module, with a fault in it."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = mutant.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.file = str(ROOT / mutant.path)
        self.source = mutant.source()

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.file, loader=_Loader(name, self.file, self.source))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, file: str, source: str) -> None:
        super().__init__(name, file)
        self.mutated = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.mutated, self.path, "exec", dont_inherit=True)  # type: ignore[no-any-return]


def _apart(work: Callable[[], object]) -> None:
    """Do something in a fork, so that what it loads is not here."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit("mutants: the tests cannot be run: see above")


def _digest(files: list[str], tests: list[str]) -> str:
    """Of what is mutated, its tests, what they compare with, and this tool: no verdict is kept after a change."""
    hashed = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    compared = "tests/unit/[!t]*.py", "tests/data/*.py", "tests/data/[0-9]*/*", "tests/mutation/*.py"
    for pattern in (*files, *tests, *compared):
        for file in sorted(ROOT.glob(pattern)):
            hashed.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return hashed.hexdigest()[:12]


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
