"""What the virtual machine does for ltp.py: the Linux Test Project's tests of swapon() and swapoff() while it records.

Usage: guest_ltp.py FOLDER LTP. The kernel's messages tell of each area that it made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "vm"), str(Path(__file__).parents[2])]
from ltp import SYSCALLS, TESTS  # noqa: E402
from scenarios import recording  # noqa: E402
from zram import run  # noqa: E402

PLACE = Path("/run/ltp")
SECONDS = 900  # for one of them, at most


def main() -> None:
    folder, ltp = Path(sys.argv[1]), Path(sys.argv[2])
    for module in ("loop", "ext4"):
        run("modprobe", module, check=False)  # it may be built in
    run("modprobe", "zram", "num_devices=1")
    PLACE.mkdir()
    PLACE.chmod(0o777)
    settings = {"TMPDIR": PLACE, "LTPROOT": ltp, "LTP_SINGLE_FS_TYPE": "ext4", "LTP_TIMEOUT_MUL": 20}
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    found = {}
    with recording(folder, "-d", "3000"):
        for test in TESTS:
            run("dmesg", "-C")
            command = [str(ltp / SYSCALLS / test)]
            done = subprocess.run(command, env=environment, cwd=PLACE, capture_output=True, text=True, timeout=SECONDS)
            added = [line.split(" swap on ", 1)[1] for line in run("dmesg").stdout.splitlines() if " swap on " in line]
            found[test] = {"status": done.returncode, "said": done.stdout + done.stderr, "added": added}
    (folder / "ltp.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
