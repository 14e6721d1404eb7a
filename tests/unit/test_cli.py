"""The command line as a user meets it: exit statuses, two lines on stderr, never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest
from builders import SELFTEST, START, batch, free, header, store, trailer, zram_area
from fixtures import DATA, TRACE

from swaptrace.areas import Store
from swaptrace.cli import cli, main
from swaptrace.trace.writer import TraceWriter

AREA, ZRAM = zram_area("/dev/zram0", 0, 16, 0), Store(0, "zram0", 16)


def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return python("-m", "swaptrace", *arguments, env=env)


def python(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """This interpreter, in a process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    return done


def main_in_process(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """(exit status, stdout, stderr): the same as a process of its own, without its start."""
    with pytest.raises(SystemExit) as raised:
        main([*map(str, arguments)])
    captured = capsys.readouterr()
    return raised.value.code or 0, captured.out, captured.err  # type: ignore[return-value]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A small whole trace."""
    path = tmp_path / "small.trace"
    writer = TraceWriter(path, header([AREA], [ZRAM]))
    writer.feed(batch([store(START + 10, 0, 3, 1000), free(START + 500, 0, 3)], {100: "stress"}))
    writer.close(trailer(START + 1_000_000))
    return path


def two_lines(text: str) -> tuple[str, str]:
    """What is wrong and what to do: that, and no more."""
    what, remedy = text.splitlines()
    assert what.startswith("swaptrace: ")
    assert remedy
    return what, remedy


# ------------------------------------------------------------------------------------------------------ help and usage


def test_help_lists_the_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("check", "selftest", "record", "report", "diff"):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", ["record", "report", "diff"])
def test_help_of_a_command(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, err = main_in_process(capsys, command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: swaptrace {command} ")


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["--nonsense"], ["report"], ["report", "x", "--format", "pdf"], ["record", "-d", "0"],
     ["record", "-d", "soon"], ["record", "--ring", "0"]],
)  # fmt: skip
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    status, out, err = main_in_process(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "Error: " in err


def test_usage_error_of_a_process() -> None:
    done = run("report")
    assert done.returncode == 2
    assert "Missing argument 'TRACE'" in done.stderr


# -------------------------------------------------------------------------------------------------------------- record

#: Drops all rights after loading the program: the user that it becomes may not be able to read the checkout.
_AS_NOBODY = """
import os, sys
import swaptrace.cli, swaptrace.commands.record, swaptrace.record.recorder
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.argv = ["swaptrace", *sys.argv[1:]]
swaptrace.cli.main()
"""


def test_record_needs_root() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # pytest's own folders are closed to other users
        output = Path(folder, "out.trace")
        done = python("-c", _AS_NOBODY, "record", "-o", output, "--", "true")
        assert not output.exists()
    assert done.returncode == 3
    _, what, remedy = done.stderr.splitlines()
    assert what == "swaptrace: tracing the kernel needs root"
    assert remedy == f"run: sudo {sys.executable} -m swaptrace record -o {output} -- true"


def test_record_command_not_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, err = main_in_process(capsys, "record", "-o", tmp_path / "out", "--", "no-such-command-anywhere")
    assert status == 2
    assert "no-such-command-anywhere: command not found" in two_lines(err)[0]


def test_record_does_not_overwrite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output = tmp_path / "precious"
    output.write_text("mine")
    status, _, err = main_in_process(capsys, "record", "-o", output, "--", "true")
    assert status == 2
    what, remedy = two_lines(err)
    assert f"{output} exists already" in what
    assert "--force" in remedy
    assert output.read_text() == "mine"


# -------------------------------------------------------------------------------------------------------------- report


def test_report_of_what_is_no_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text, empty = tmp_path / "text", tmp_path / "empty"
    text.write_text("nothing of the kind\n" * 100)
    empty.touch()
    for path in (text, empty, tmp_path, tmp_path / "missing"):
        status, out, err = main_in_process(capsys, "report", path)
        assert (status, out) == (4, "")
        assert str(path) in two_lines(err)[0]


def test_report_of_a_newer_version(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    TraceWriter(tmp_path / "new", header([AREA], [ZRAM], format_version=999)).close(trailer(START))
    status, _, err = main_in_process(capsys, "report", tmp_path / "new")
    assert status == 4
    what, remedy = two_lines(err)
    assert "999" in what
    assert "upgrade" in remedy


def test_report_of_an_unknown_device(capsys: pytest.CaptureFixture[str], trace: Path) -> None:
    status, _, err = main_in_process(capsys, "report", trace, "--device", "/dev/sdz9")
    assert status == 2
    what, remedy = two_lines(err)
    assert "/dev/sdz9" in what
    assert "/dev/zram0" in remedy


def test_report_of_a_known_device(capsys: pytest.CaptureFixture[str], trace: Path) -> None:
    for device in ("/dev/zram0", "zram0"):
        status, out, _ = main_in_process(capsys, "report", trace, "--device", device, "--format", "json")
        assert status == 0
        assert [area["device"] for area in json.loads(out)["areas"]] == ["/dev/zram0"]


def test_report_of_a_truncated_trace(trace: Path) -> None:
    """It is worth a report, which says so. And a whole one does not."""
    whole = trace.read_bytes()
    trace.write_bytes(whole[:-200])
    done = run("report", trace)
    assert done.returncode == 0
    assert "THE TRACE IS INCOMPLETE" in done.stdout
    trace.write_bytes(whole)
    assert "INCOMPLETE" not in run("report", trace).stdout


def test_report_to_a_place_that_is_not_there(capsys: pytest.CaptureFixture[str], trace: Path, tmp_path: Path) -> None:
    for form in ("text", "json"):
        status, _, err = main_in_process(
            capsys, "report", trace, "--format", form, "-o", tmp_path / "nowhere" / "report"
        )
        assert status == 3
        assert "No such file or directory" in two_lines(err)[0]


def into_a_reader_of(size: int, *arguments: object) -> tuple[int, str]:
    """(exit status, stderr) of a command into a pipe whose reader closes it after that many bytes."""
    return python_into_a_reader_of(size, "-m", "swaptrace", *arguments)


def python_into_a_reader_of(size: int, *arguments: object) -> tuple[int, str]:
    process = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(size)) == size
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    return process.wait(timeout=120), err


@pytest.fixture(scope="module")
def long_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of so many swap areas that its report is longer than what a pipe holds: 64 KiB."""
    areas = [zram_area(f"/dev/zram{number}", number, 16, number) for number in range(24)]
    stores = [Store(number, f"zram{number}", 16) for number in range(24)]
    path = tmp_path_factory.mktemp("pipe") / "long.trace"
    writer = TraceWriter(path, header(areas, stores))
    writer.feed(batch([store(START + 10 + number, number, 3, 1000) for number in range(24)], {100: "stress"}))
    writer.close(trailer(START + 1_000_000))
    return path


@pytest.mark.parametrize("form", ["text", "json"])
def test_report_into_head(long_report: Path, form: str) -> None:
    """`| head -c 10`: the reader has what it wanted before all is written."""
    whole = run("report", long_report, "--format", form)
    assert len(whole.stdout.encode()) > 1 << 16
    assert into_a_reader_of(10, "report", long_report, "--format", form) == (0, "")


RECORDING = str(DATA / "format2" / TRACE)  # which nothing is to be warned of
_OUTPUTS = (
    ["report", "{trace}"],
    ["report", "{trace}", "--format", "json"],
    ["report", "{trace}", "--format", "csv"],
    ["report", "{trace}", "--format", "html", "-o", "{folder}"],
    *(["diff", "{trace}", "{trace}", "--format", form] for form in ("text", "json", "html")),
    *(["export", RECORDING, "--to", form, "-o", "-"] for form in ("perfetto", "openmetrics")),
    *(["export", RECORDING, "--to", form, "-o", "{folder}"] for form in ("parquet", "csv")),
    ["check"], ["audit"], ["audit", "--format", "json"], ["--help"], ["report", "--help"], ["--version"],
    ["selftest", "--help"], ["record", "--help"], ["mark", "--help"],  # what else they print needs root, or a recording
)  # fmt: skip


def test_every_command_prints_something() -> None:
    assert {name for name, *_ in _OUTPUTS} >= set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("arguments", _OUTPUTS, ids=" ".join)
def test_output_that_nobody_reads(trace: Path, tmp_path: Path, arguments: list[str]) -> None:
    """The reader is gone before the first byte, and all fits into one write: at the latest when the process ends."""
    given = [argument.format(trace=trace, folder=tmp_path / "page") for argument in arguments]
    if given[0] == "report":
        run(*given)
    assert into_a_reader_of(0, *given) == (0, "")


def test_a_selftests_table_that_nobody_reads() -> None:
    """Of one that has been run, and found a difference."""
    assert python_into_a_reader_of(0, "-c", SELFTEST) == (0, "")
    assert python("-c", SELFTEST).returncode == 1


@pytest.mark.parametrize("arguments", _OUTPUTS, ids=" ".join)
def test_output_that_has_no_room(trace: Path, tmp_path: Path, arguments: list[str]) -> None:
    """A full disk behind stdout: said in two lines, and no traceback, at the end of the process either."""
    given = [argument.format(trace=trace, folder=tmp_path / "page") for argument in arguments]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "swaptrace", *given]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert done.returncode == 3
    what, remedy = done.stderr.splitlines()
    assert re.fullmatch(r"swaptrace: cannot write the output: No space left on device", what)
    assert remedy


# ---------------------------------------------------------------------------------------------- what is on the machine

_IMPORT_BCC = """
from swaptrace.errors import Problem
from swaptrace.tracing.programs import import_bcc
try:
    import_bcc()
except Problem as problem:
    print(problem.exit_status, problem.what, problem.remedy, sep="\\n")
else:
    print("found")
"""


def import_bcc(tmp_path: Path, contents: str) -> list[str]:
    """What import_bcc() says with this for a package `bcc`."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text(contents)
    return python("-c", _IMPORT_BCC, env={"PYTHONPATH": str(tmp_path)}).stdout.splitlines()


def test_bcc_of_pypi(tmp_path: Path) -> None:
    status, what, remedy = import_bcc(tmp_path, "def compile(): pass\n")
    assert status == "3"
    assert "not the BPF Compiler Collection" in what
    assert str(tmp_path) in what
    assert "pip uninstall bcc" in remedy


def test_no_bcc(tmp_path: Path) -> None:
    status, what, remedy = import_bcc(tmp_path, "raise ImportError('libbcc.so.0: cannot open shared object file')\n")
    assert status == "3"
    assert f"{sys.executable} finds no bcc" in what
    assert "libbcc.so.0" in what
    assert "python3-bpfcc" in remedy


def test_bcc(tmp_path: Path) -> None:
    assert import_bcc(tmp_path, "class BPF: pass\n") == ["found"]


# ----------------------------------------------------------------------------------------- who may import what


def loaded_by(*modules: str) -> set[str]:
    """All modules that are loaded after importing these."""
    imports = "".join(f"import {module}\n" for module in modules)
    return set(python("-c", f"import sys\n{imports}print(*sys.modules, sep='\\n')").stdout.splitlines())


_HEAVY = {"bokeh", "pandas", "matplotlib", "rich", "jinja2"}
_ANALYSIS = {"swaptrace.engine.replay", "swaptrace.analysis.analysis"}


def test_record_loads_no_more_than_it_needs() -> None:
    """It runs on the machine that it measures."""
    loaded = loaded_by("swaptrace.cli", "swaptrace.commands.record", "swaptrace.record.recorder")
    assert "pyarrow" in loaded
    assert not loaded & (_HEAVY | _ANALYSIS)
    assert not [name for name in loaded if name.startswith("swaptrace.engine")]  # compiled, for one Python only


#: A whole recording, with the sinks of swaptrace.record.recorder, the loop and its end included, from a source that
#: needs no kernel. `_TICK` is 0, so that each turn of the loop does all that it ever does.
_RECORD = """
import sys
from pathlib import Path
import builders
from swaptrace import running
from swaptrace.record import recorder

class Source:
    turns = 0
    def poll(self):
        self.turns += 1
        time = builders.START + self.turns
        return builders.batch([builders.store(time, 0, self.turns, 100)], {100: "stress"})
    def lost(self):
        return 0
    def moment(self):
        return running.Moment(builders.START + self.turns)
    def finish(self, exit_status, reason):
        return [self.poll()], builders.trailer(builders.START + 1_000_000_000, reason=reason)

class Terminal(recorder.LiveLine):
    def __init__(self):
        super().__init__()
        self._terminal = True

running._TICK = 0
status, path = recorder.StatusLine(Terminal()), Path(sys.argv[1])
make = {"trace": recorder.TraceWriter, "results": recorder.results_writer}[path.name]
sinks = [make(path, builders.header(), force=False), status]
trailer = running.run(Source(), sinks, recorder.Stop(60), ("sleep", "0.2"))
print(status.events, trailer.reason)
print(*sys.modules)
"""


@pytest.mark.parametrize("kind", ["trace", "results"])
def test_nothing_more_is_loaded_while_it_records(kind: str, tmp_path: Path) -> None:
    """Libraries may load others when they are used, pyarrow pandas for one: seconds, and memory, at the first write."""
    done = python("-c", _RECORD, tmp_path / kind, env={"PYTHONPATH": str(Path(__file__).parent)})
    assert done.returncode == 0, done.stderr
    assert "slots stored" in done.stderr  # the status line
    assert "reading what is left" in done.stderr
    told, modules = done.stdout.splitlines()
    assert int(told.split()[0]) > 1
    assert told.endswith("command ended")
    assert "pyarrow" in modules.split()
    assert _ANALYSIS & set(modules.split()) == (_ANALYSIS if kind == "results" else set())
    assert not set(modules.split()) & _HEAVY


_REPORT = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); from swaptrace.cli import main; main()"


@pytest.mark.parametrize(("form", "needed"), [("text", {"rich"}), ("json", set())])
def test_a_report_loads_no_more_than_it_needs(form: str, needed: set[str], trace: Path) -> None:
    """Most of what a small report takes is loading libraries."""
    done = python("-c", _REPORT, "report", trace, "--format", form)
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.splitlines()[-1].split())
    assert needed <= modules
    assert not modules & ((_HEAVY - {"rich"}) | {"rich.progress"})


@pytest.mark.parametrize(("form", "needed"), [("text", {"rich"}), ("json", set()), ("html", {"jinja2"})])
def test_a_comparison_loads_no_more_than_it_needs(form: str, needed: set[str], trace: Path) -> None:
    done = python("-c", _REPORT, "diff", trace, trace, "--format", form)
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.splitlines()[-1].split())
    assert needed <= modules
    assert not modules & (_HEAVY - {"rich"} - needed)


def test_help_loads_no_more_than_click() -> None:
    assert not loaded_by("swaptrace.cli", "swaptrace.commands.record") & {"numpy", "pyarrow", "bcc"}


def test_reports_can_be_made_anywhere() -> None:
    """Nothing of them may need bcc, or know of a running kernel."""
    package = Path(__file__).parents[2] / "swaptrace"
    modules = [
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for folder in ("analysis", "diff", "engine", "export", "report", "results", "tables", "trace")
        for path in sorted((package / folder).glob("*.py"))
        if path.name != "__init__.py"
    ]
    assert len(modules) > 15
    loaded = loaded_by(*modules)
    assert set(modules) <= loaded
    running = ("bcc", "swaptrace.kernel", "swaptrace.machine", "swaptrace.tracing", "swaptrace.record")
    assert [name for name in sorted(loaded) if name.startswith(running)] == []
