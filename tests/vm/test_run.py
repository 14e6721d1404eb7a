"""Self-test of the virtual machine harness: every way in which a run can end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "vm"))
import guest  # noqa: E402

RUN = CHECKOUT / "tests" / "vm" / "run"
# The kernel that boots fastest.
KERNEL = "6.12"
PANIC, LOST = guest.KernelPanic("it panicked"), guest.GuestLost("it is gone")

SESSION = """
echo "stream $(date +%s%N)"
sleep 2
echo "to stderr" >&2
echo "named stderr" > /dev/stderr
echo "where $(pwd)"
echo "user $(id -u)"
echo "python $(command -v python)"
echo "leaked ${LEAKED:-nothing}"
echo "passed $SWAPTRACE_PASSED"
for folder in /sys/kernel/debug/block /sys/kernel/tracing/events /sys/fs/bpf; do
    test -d "$folder" && echo "has $folder"
done
touch "$1/../outside" 2> /dev/null || true
echo written > "$1/from-guest"
cat "$1/from-host"
sleep 1000 &
exit 7
"""


@dataclass
class Finished:
    """A run of the harness that has ended."""

    status: int
    stdout: str
    stderr: str
    seconds_until_first_line: float
    seconds: float


def command(out: Path, *arguments: str, timeout: int = 120) -> list[str]:
    """A command line of the harness, for a small machine."""
    options = ["--kernel", KERNEL, "--memory", "768M", "--timeout", str(timeout), "--out", str(out)]
    return [sys.executable, str(RUN), *options, "--", *arguments]


def boot(out: Path, *arguments: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Run a command in a guest."""
    return subprocess.run(
        command(out, *arguments, timeout=timeout), capture_output=True, text=True, cwd=CHECKOUT, check=False
    )


@pytest.fixture
def out_in_checkout(request: pytest.FixtureRequest) -> Path:
    """An output folder inside the checkout, which the guest has read-only around it.

    It stays, so that the console of a test that failed can be read.
    """
    folder = CHECKOUT / "build" / "test-vm" / request.node.name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """One boot that many tests look at; its output folder is a temporary one of the machine's."""
    out = tmp_path_factory.mktemp("session") / "out"
    out.mkdir()
    (out / "from-host").write_text("from the host\n")
    started = time.monotonic()
    environment = {"PATH": "/usr/bin:/bin", "LEAKED": "leaked", "SWAPTRACE_PASSED": "passed on"}
    if "SWAPTRACE_CACHE" in os.environ:  # or the kernel would be fetched once more, and that be said
        environment["SWAPTRACE_CACHE"] = os.environ["SWAPTRACE_CACHE"]
    with subprocess.Popen(
        command(out, "bash", "-c", SESSION, "--", str(out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=RUN.parent,
        env=environment,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        until_first_line = time.monotonic() - started
        rest, stderr = process.communicate()
    seconds = time.monotonic() - started
    return Finished(process.returncode, first + rest, stderr, until_first_line, seconds), out


def test_exit_status_is_that_of_the_command(session: tuple[Finished, Path]) -> None:
    finished, _ = session
    assert finished.status == 7, finished.stderr


def test_output_arrives_while_the_command_runs(session: tuple[Finished, Path]) -> None:
    finished, _ = session
    assert finished.stdout.startswith("stream ")
    assert finished.seconds - finished.seconds_until_first_line > 1.5


def test_no_output_is_lost(session: tuple[Finished, Path]) -> None:
    finished, _ = session
    lines = finished.stdout.splitlines()
    assert lines[1:3] == ["to stderr", "named stderr"]
    assert lines[-1] == "from the host"


def test_environment_of_the_command(session: tuple[Finished, Path]) -> None:
    finished, _ = session
    lines = finished.stdout.splitlines()
    assert f"where {RUN.parent}" in lines
    assert "user 0" in lines
    assert f"python {CHECKOUT}/.venv/bin/python" in lines
    assert "leaked nothing" in lines
    assert "passed passed on" in lines


@pytest.mark.parametrize("folder", ["/sys/kernel/debug/block", "/sys/kernel/tracing/events", "/sys/fs/bpf"])
def test_kernel_file_systems_are_mounted(session: tuple[Finished, Path], folder: str) -> None:
    finished, _ = session
    assert f"has {folder}" in finished.stdout.splitlines()


def test_only_the_output_folder_is_writable(session: tuple[Finished, Path]) -> None:
    _, out = session
    assert (out / "from-guest").read_text() == "written\n"
    assert not (out.parent / "outside").exists()


def test_times_are_one_line(session: tuple[Finished, Path]) -> None:
    finished, _ = session
    lines = [line for line in finished.stderr.splitlines() if not line.startswith("vm: warning: ")]
    assert len(lines) == 1, lines
    (line,) = lines
    assert line.startswith("vm: Linux 6.12")
    assert "booted in" in line
    assert "whole run" in line


def test_panic_has_a_status_of_its_own(out_in_checkout: Path) -> None:
    finished = boot(out_in_checkout, "sh", "-c", "echo before; echo c > /proc/sysrq-trigger; sleep 60")
    assert finished.returncode == 125
    assert finished.stdout == "before\n"
    assert "vm: error: the guest's kernel panicked" in finished.stderr
    assert "sysrq triggered crash" in finished.stderr
    assert "Kernel panic" in (out_in_checkout / "console.log").read_text()


@pytest.mark.parametrize(
    ("boots", "expected"),
    [
        ([(None, PANIC), (9.0, 7)], 7),  # the second one goes well
        ([(None, PANIC), (None, PANIC), (None, PANIC)], PANIC),
        ([(9.0, PANIC)], PANIC),  # while the command ran: that is its doing
        ([(None, LOST)], LOST),
    ],
)
def test_panic_before_the_command_is_another_try(
    boots: list[tuple[float | None, object]],
    expected: object,
    out_in_checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out_in_checkout.mkdir(parents=True)
    (out_in_checkout / "console.log").touch()
    left = iter(boots)

    def one(*_: object) -> tuple[object, object]:
        seconds, outcome = next(left)
        return SimpleNamespace(boot_seconds=seconds), outcome

    monkeypatch.setattr(guest, "_check_machine", lambda: None)
    monkeypatch.setattr(guest, "_boot", one)
    request = SimpleNamespace(kernel=SimpleNamespace(version="6.12"), out=out_in_checkout)
    try:
        assert guest.run(request) == expected
    except guest.GuestError as error:
        assert error is expected
    assert next(left, None) is None  # all were tried
    assert capsys.readouterr().err.count("booting it again") == len(boots) - 1


def test_hang_has_a_status_of_its_own(out_in_checkout: Path) -> None:
    finished = boot(out_in_checkout, "sleep", "1000", timeout=3)
    assert finished.returncode == 124
    assert "vm: error: the guest was ended at the time limit of 3 s (--timeout: more)" in finished.stderr


def test_lost_guest_has_a_status_of_its_own(out_in_checkout: Path) -> None:
    finished = boot(out_in_checkout, "sh", "-c", "echo o > /proc/sysrq-trigger; sleep 60")
    assert finished.returncode == 126
    assert "vm: error: the virtual machine ended before the command did" in finished.stderr


def test_machine_is_gone_when_the_harness_is_ended(out_in_checkout: Path) -> None:
    with subprocess.Popen(command(out_in_checkout, "sleep", "1000"), stderr=subprocess.DEVNULL) as process:
        machines = wait_for_machines(out_in_checkout)
        process.terminate()
        assert process.wait(timeout=20) == 128 + 15
    assert machines
    assert not machines_of(out_in_checkout)


def machines_of(out: Path) -> list[str]:
    """Process ids of the QEMUs that share an output folder."""
    found = []
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = arguments.read_bytes()
        except OSError:
            continue
        if b"qemu" in text.split(b"\0")[0] and str(out).encode() in text:
            found.append(arguments.parent.name)
    return found


def wait_for_machines(out: Path) -> list[str]:
    """Wait until the QEMU of a run has started."""
    deadline = time.monotonic() + 30
    while not (found := machines_of(out)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("arguments", [[], ["--kernel", "6.12"], ["--kernel", "1.0", "--", "true"], ["--", "true"]])
def test_usage_errors(arguments: list[str]) -> None:
    finished = subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr


def test_a_broken_cache_folder_is_an_error_of_set_up(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finished = subprocess.run(
        [sys.executable, str(RUN), "--kernel", KERNEL, "--", "true"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "SWAPTRACE_CACHE": str(tmp_path / "file")},
        check=False,
    )
    assert finished.returncode == 123
    problem, advice = finished.stderr.splitlines()
    assert problem.startswith("vm: error: cannot write to the cache")
    assert "SWAPTRACE_CACHE" in advice
