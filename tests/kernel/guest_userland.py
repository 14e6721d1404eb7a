"""What the virtual machine does for test_userland.py: record with another release's Python and BCC.

Usage: guest_userland.py FOLDER ROOT. The recorder runs in a chroot; the workload is this machine's own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
sys.path.insert(0, str(Path(__file__).parents[2]))
from scenarios import says, wait_for
from zram import run, zram_swap

from swaptrace.record.workload import Process
from tests.kernel.guest import PRIME, call, save

CHECKOUT = Path(__file__).resolve().parents[2]
BLAS = "/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack"  # alternatives, which are not set up there
METADATA = "Metadata-Version: 2.1\nName: swaptrace\nVersion: 0\n"


def prepare(root: Path, folder: Path) -> list[str]:
    """Mount what the recorder needs into the root; the start of a command that runs in it."""
    for place in ("proc", "sys", "dev"):
        run("mount", "--rbind", f"/{place}", str(root / place))
    run("mount", "-t", "tmpfs", "none", str(root / "mnt"))
    package = root / "mnt" / "package"
    package.mkdir()
    run("cp", "-r", str(CHECKOUT / "swaptrace"), str(package))
    run("cp", "-r", str(CHECKOUT / "bpf"), str(package / "swaptrace"))
    (package / "swaptrace-0.dist-info").mkdir()
    (package / "swaptrace-0.dist-info" / "METADATA").write_text(METADATA)
    (root / "mnt" / "out").mkdir()
    run("mount", "--bind", str(folder), str(root / "mnt" / "out"))
    run("mount", "-t", "tmpfs", "none", str(root / "tmp"))
    environment = [f"LD_LIBRARY_PATH={BLAS}", "PYTHONPATH=/mnt/package", "PYTHONDONTWRITEBYTECODE=1", "LANG=C.UTF-8"]
    return ["env", *environment, "chroot", str(root), "/usr/bin/python3"]


def main() -> None:
    folder, root = Path(sys.argv[1]), Path(sys.argv[2])
    python = prepare(root, folder)
    call(folder, "bcc", *python, "-c", "import bcc; print(bcc.__version__)")
    with zram_swap(megabytes=64) as device:
        with (folder / "record.err").open("w") as errors:
            command = [*python, "-m", "swaptrace", "record", "-o", "/mnt/out/trace", "-d", "600"]
            recorder = subprocess.Popen(command, stderr=errors)
        wait_for(lambda: recorder.poll() is not None or says(folder / "record.err", "recording to"))
        gone, kept = Process(PRIME, "mixed", 5), Process(701, "compressible", 6)
        gone.page_out(), kept.page_out()
        gone.exit()
        recorder.send_signal(signal.SIGINT)
        (folder / "record.status").write_text(str(recorder.wait()))
        save(folder, device)
        kept.exit()


if __name__ == "__main__":
    main()
