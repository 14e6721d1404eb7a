"""Standard streams that are closed, full or gone, and paths that cannot be looked at: an exit status, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRACE = Path(__file__).parents[1] / "data/format2/trace.swaptrace"


def shell(command: str, **how: object) -> subprocess.CompletedProcess[str]:
    """A shell's: SWAPTRACE and TRACE are what they say."""
    code = "import sys; from swaptrace.cli import main; main(sys.argv[1:])"
    words = {"SWAPTRACE": f'"{sys.executable}" -c "{code}"', "TRACE": str(TRACE)}
    for name, word in words.items():
        command = command.replace(name, word)
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, **how)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("SWAPTRACE report TRACE >&-", 0),
        ("SWAPTRACE report TRACE --format json >&-", 0),
        ("SWAPTRACE --help >&-", 0),
        ("SWAPTRACE report missing >&-", 4),
        ("SWAPTRACE report missing 2>&-", 4),
        ("SWAPTRACE report missing 2>/dev/full", 4),
        ("SWAPTRACE report --color 2>/dev/full", 2),
        ("SWAPTRACE report missing <&- >&- 2>&-", 4),
        ("(sleep 0.3; SWAPTRACE report missing 2>&1 >/dev/null; echo $? >&3) 3>&1 >/dev/null | cat", 4),
        ("SWAPTRACE report TRACE --format html -o /dev/null/page 2>/dev/full", 3),
    ],
)
def test_streams(command: str, status: int) -> None:
    done = shell(command)
    assert "Traceback" not in done.stderr
    assert (int(done.stdout) if ">&3" in command else done.returncode) == status, done.stderr


def test_what_is_said_of_errors_never_gets_among_the_figures(tmp_path: Path) -> None:
    cut = tmp_path / "cut.trace"
    cut.write_bytes(TRACE.read_bytes()[:-4000])
    done = shell(f"SWAPTRACE report {cut} --format csv 2>&-")
    assert done.returncode == 0 and done.stdout.startswith("device,") and "INCOMPLETE" not in done.stdout


def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    """What root recorded in a folder of its own, for instance. Root may enter any, and so is somebody else here."""
    somebody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    private = tmp_path / "private"
    private.mkdir()
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (private / "t.trace").write_bytes(TRACE.read_bytes())
    private.chmod(0)
    for arguments, status in ((f"{private}/t.trace", 4), (f"TRACE -o {private}/out", 3),
                              (f"TRACE --format html -o {private}/page", 3)):  # fmt: skip
        done = shell(f"SWAPTRACE report {arguments}", env={**os.environ, "MPLCONFIGDIR": "/tmp"}, **somebody)
        assert done.returncode == status and "ermission denied" in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 2
    private.chmod(0o700)


def test_a_name_that_is_too_long() -> None:
    done = shell(f"SWAPTRACE report {'a' * 5000}")
    assert done.returncode == 4 and "File name too long" in done.stderr


def test_a_terminal_without_columns() -> None:
    done = shell("COLUMNS=0 SWAPTRACE report TRACE")
    assert done.returncode == 0 and "swaptrace report" in done.stdout
