"""Boot a kernel under QEMU on this machine's own root filesystem and run one command in it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kernels import CHECKOUT, SetupError, UnpackedKernel

__all__ = ["GuestError", "GuestLost", "KernelPanic", "Request", "TimeLimit", "run"]

VENV = CHECKOUT / ".venv"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL_SECONDS = 0.05
POWER_OFF_SECONDS = 20.0
TAIL_LINES = 40
PANIC_LINES = 80
PANIC_SIGNS = re.compile(r"sysrq: Trigger a crash|BUG: |Oops|general protection|Kernel panic")
PANIC = re.compile(r"Kernel panic - not syncing")
# A processor that QEMU emulates may meet a breakpoint which another one has set while it patches the kernel's code: on
# 7.3, once in some hundred boots ("Oops: int3", in the first seconds). That says nothing of what is to be run there.
BOOTS = 3

# Where the guest sees the harness's folders; /run is a tmpfs there.
GUEST_CONTROL = "/run/swaptrace/control"
GUEST_HOME = "/run/swaptrace/home"

# The guest mounts file systems of its own over these.
HIDDEN_IN_GUEST = ("/tmp", "/run", "/var", "/dev")


class GuestError(Exception):
    """The guest did not finish the command; each reason has an exit status of its own."""

    status = 1


class TimeLimit(GuestError):
    """The run took longer than allowed."""

    status = 124


class KernelPanic(GuestError):
    """The guest's kernel panicked (an oops counts as one)."""

    status = 125


class GuestLost(GuestError):
    """The virtual machine ended, without a panic, before the command did."""

    status = 126


@dataclass(frozen=True)
class Request:
    """What to boot, and what to run in it."""

    kernel: UnpackedKernel
    command: list[str]
    out: Path
    cpus: int
    memory: str
    timeout: float
    count_instructions: bool = False


def run(request: Request) -> int:
    """Boot, run the command, power off; the command's exit status."""
    _check_machine()
    started = time.monotonic()
    for left in reversed(range(BOOTS)):
        watch, status = _boot(request, started)
        if watch.boot_seconds or not isinstance(status, KernelPanic) or not left:
            break
        print("vm: the guest's kernel panicked before the command began; booting it again", file=sys.stderr)
    boot = f"booted in {watch.boot_seconds:.1f} s" if watch.boot_seconds else "did not boot"
    whole = time.monotonic() - started
    print(f"vm: Linux {request.kernel.version}: {boot}, whole run {whole:.1f} s", file=sys.stderr)
    if isinstance(status, GuestError):
        _print_console_tail(request.out)
        raise status
    return status


def _boot(request: Request, started: float) -> tuple[_Watch, int | GuestError]:
    """One try. started: when the first one was (time.monotonic(), s), from which the time limit counts."""
    with tempfile.TemporaryDirectory(prefix="swaptrace-vm-") as control_name:
        control = Path(control_name)
        (control / "output").touch()
        (control / "script").write_text(_guest_script(request))
        with _machine(request, control) as machine:
            watch = _Watch(request, control, machine, started)
            watch.until_finished()
        watch.relay_output()
        return watch, _outcome(request, watch)


def _check_machine() -> None:
    """Say what is missing before anything is started."""
    if not (VENV / "bin" / "vng").exists():
        raise SetupError("virtme-ng is not in the project's virtual environment", "run 'make setup'")
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    for program in ("qemu-system-x86_64", "busybox", "modprobe"):
        if shutil.which(program, path=path) is None:
            raise SetupError(f"{program} is missing", "run 'make setup'")


def _kvm_usable() -> bool:
    """Whether QEMU can start a guest with KVM, which /dev/kvm alone does not tell.

    On some virtual machines the device is there, and QEMU fails on a register of the processor. On others KVM does
    without the processor's help (kvm_pvm): what runs there are kernels made for it, and ours end at their first
    instructions, which it cannot emulate.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK) or not _processor_helps():
        return False
    probe = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-machine", "q35", "-m", "64"]
    probe += ["-display", "none", "-nodefaults", "-S", "-monitor", "stdio"]
    try:
        done = subprocess.run(probe, input=b"quit\n", capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _processor_helps() -> bool:
    """Whether the processor has what KVM for any kernel needs (Intel's VMX, AMD's SVM)."""
    return re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE) is not None


def _is_within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


@dataclass(frozen=True)
class _Share:
    """A folder of this machine that the guest has at the same path."""

    tag: str
    folder: Path
    writable: bool = False

    def qemu_options(self) -> list[str]:
        """Export the folder over 9p.

        Not with virtme-ng's --rodir and --rwdir: each takes three variables on the kernel's
        command line, which holds 32, and virtme-ng mounts without a cache, so that every read of
        every process would go to the host.
        """
        mode = "" if self.writable else ",readonly=on"
        return [
            "-fsdev",
            f"local,id={self.tag},path={self.folder},security_model=none,multidevs=remap{mode}",
            "-device",
            f"virtio-9p-pci,fsdev={self.tag},mount_tag={self.tag}",
        ]

    def mount_command(self) -> str:
        """A line of the guest's script."""
        mode = "rw" if self.writable else "ro,cache=loose"
        folder = shlex.quote(str(self.folder))
        return f"mount_share {self.tag} {mode} {folder}"


def _shares(request: Request) -> list[_Share]:
    """All folders to share; an outer one comes before those inside it, or it would cover them.

    Libraries come first, since they speed up the rest of the script.
    """
    folders = {CHECKOUT}
    for path in (request.kernel.root, Path.cwd()):
        hidden = any(_is_within(path, Path(top)) and path != Path(top) for top in HIDDEN_IN_GUEST)
        if hidden and not any(_is_within(path, folder) for folder in (*folders, request.out)):
            folders.add(path)
    # Not hidden, but what a Python program reads most: cached, it starts several times faster.
    for pattern in ("python3*", "*-linux-gnu"):
        folders |= {path for path in Path("/usr/lib").glob(pattern) if path.is_dir()}
    ordered = sorted(folders | {request.out}, key=lambda path: (not path.match("/usr/lib/*-linux-gnu"), path))
    shares = [_Share(f"share{i}", path, path == request.out) for i, path in enumerate(ordered)]
    for share in shares:
        if re.search(r"[\s,]", str(share.folder)):
            raise SetupError(
                f"the guest cannot be given the folder '{share.folder}'",
                "use a path without spaces and commas",
            )
    return shares


def _vng_command(request: Request, control: Path) -> list[str]:
    command = [str(VENV / "bin" / "vng"), "--run", str(request.kernel.image)]
    if request.count_instructions or not _kvm_usable():
        command.append("--disable-kvm")
    # The shares are PCI devices, which a microvm does not have.
    command += ["--disable-microvm", "--force-9p", "--user", "root"]
    command += ["--cpus", str(request.cpus), "--memory", request.memory]
    # -v: without it the console is lost, and with it the reason of a panic. On a busy machine an
    # emulated timer can be too late for the kernel's check at boot, which then panics. An emulated
    # processor does not speculate, and what mitigates that costs it more than a real one. Nor is its time stamp
    # counter ever wrong: on a busy machine the kernel would find that it is, and patch its clocks' code (see BOOTS).
    command += ["-v"]
    for parameter in ("oops=panic", "panic=-1", "no_timer_check", "mitigations=off", "tsc=reliable"):
        command += ["--append", parameter]
    command += [f"--rwdir={GUEST_CONTROL}={control}", "--exec", f"bash {GUEST_CONTROL}/script"]
    options = [option for share in _shares(request) for option in share.qemu_options()]
    if request.count_instructions:  # the guest's clocks count the instructions that it has executed, one a nanosecond
        options += ["-icount", "shift=0,sleep=off"]
    return [*command, f"--qemu-opts={' '.join(options)}"]


def _guest_environment(kernel: UnpackedKernel) -> dict[str, str]:
    """The whole environment of the command: a short list, so that runs are repeatable."""
    environment = {
        "PATH": f"{VENV}/bin:{SYSTEM_PATH}",
        "HOME": GUEST_HOME,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    passed = {k: v for k, v in os.environ.items() if k == "CI" or k.startswith("SWAPTRACE_")}
    return environment | passed | {"SWAPTRACE_VM": kernel.version}


def _guest_script(request: Request) -> str:
    """The script that the guest runs as root."""
    environment = " ".join(shlex.quote(f"{key}={value}") for key, value in _guest_environment(request.kernel).items())
    mounts = "\n".join(share.mount_command() for share in _shares(request))
    return f"""
# Little is started here: until the libraries are mounted with a cache, every program is slow.
mounted() {{
    local device place rest
    while read -r device place rest; do
        [[ $place == "$1" ]] && return
    done < /proc/mounts
    return 1
}}
mount_once() {{
    mounted "$2" || mount -t "$1" "$1" "$2"
}}
fail() {{
    echo "$1" > {GUEST_CONTROL}/failure
    exit 1
}}
mount_share() {{
    [[ -d $3 ]] || mkdir -p "$3" || fail "cannot make $3"
    mount -t 9p -o "$2,version=9p2000.L,trans=virtio,access=any,msize=512000" "$1" "$3" ||
        fail "cannot mount $3"
}}
{mounts}
mount_once debugfs /sys/kernel/debug || fail 'cannot mount debugfs'
mount_once tracefs /sys/kernel/tracing || fail 'cannot mount tracefs'
mount_once bpf /sys/fs/bpf || fail 'cannot mount bpffs'
mkdir -p {GUEST_HOME}
# virtme-ng points these at serial ports, which take one writer at a time.
ln -sfn /proc/self/fd/1 /dev/stdout
ln -sfn /proc/self/fd/2 /dev/stderr
cd -- {shlex.quote(str(Path.cwd()))} || fail 'cannot enter the working directory'
# A pipe, since "> /dev/stderr" in a command would truncate a file.
mkfifo /run/swaptrace/pipe
cat /run/swaptrace/pipe >> {GUEST_CONTROL}/output &
relay=$!
: > {GUEST_CONTROL}/started
env -i {environment} {shlex.join(request.command)} < /dev/null > /run/swaptrace/pipe 2>&1
echo $? > {GUEST_CONTROL}/status.new
# What the command left running may hold the pipe for ever.
for _ in {{1..20}}; do
    kill -0 $relay 2> /dev/null || break
    sleep 0.1
done
cd /
mv {GUEST_CONTROL}/status.new {GUEST_CONTROL}/status
"""


@contextmanager
def _machine(request: Request, control: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The running virtual machine, its console copied to console.log; ended in any case."""
    # virtme-ng finds its own programs through PATH, and modprobe in sbin.
    path = f"{VENV}/bin:{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    machine = subprocess.Popen(
        _vng_command(request, control),
        stdin=subprocess.DEVNULL,
        # A pipe, not the file itself: QEMU reopens the console and would truncate the file.
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=os.environ | {"PATH": path},
        start_new_session=True,
    )
    assert machine.stdout is not None
    log = (request.out / "console.log").open("wb")
    copier = threading.Thread(target=_copy, args=(machine.stdout, log), daemon=True)
    copier.start()
    try:
        yield machine
    finally:
        _end_group(machine)
        copier.join(timeout=5)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    with source, target:
        while chunk := os.read(source.fileno(), 65536):
            target.write(chunk)
            target.flush()


def _end_group(machine: subprocess.Popen[bytes]) -> None:
    """End virtme-ng and QEMU: the whole group that was started here, and nothing else."""
    # The group lives on while QEMU does, even if its leader was reaped.
    for sign, seconds in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(machine.pid, sign)
            while time.monotonic() < deadline:
                machine.poll()
                os.killpg(machine.pid, 0)
                time.sleep(POLL_SECONDS)
        except ProcessLookupError:
            break
    machine.wait()


class _Watch:
    """Follow a run: relay its output, note when it booted, and see how it ends."""

    def __init__(self, request: Request, control: Path, machine: subprocess.Popen[bytes], started: float) -> None:
        self.control = control
        self.boot_seconds: float | None = None
        self.timed_out = False
        self._machine = machine
        self._started = started
        self._deadline = started + request.timeout
        self._output = (control / "output").open("rb")

    def until_finished(self) -> None:
        """Return when the machine is off, or has to be ended."""
        while self._machine.poll() is None:
            self.relay_output()
            self._note_boot()
            if self.status() is not None:
                self._wait_for_power_off()
                return
            if time.monotonic() > self._deadline:
                self.timed_out = True
                return
            time.sleep(POLL_SECONDS)
        self._note_boot()

    def relay_output(self) -> None:
        """Copy what the command has written since the last call."""
        while chunk := self._output.read(1 << 20):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()

    def status(self) -> int | None:
        """The command's exit status, once it has one."""
        text = self.text("status")
        return int(text) if text else None

    def text(self, name: str) -> str:
        """The contents of a file in the control folder."""
        try:
            return (self.control / name).read_text().strip()
        except FileNotFoundError:
            return ""

    def _note_boot(self) -> None:
        if self.boot_seconds is None and (self.control / "started").exists():
            self.boot_seconds = time.monotonic() - self._started

    def _wait_for_power_off(self) -> None:
        """Let the machine go down by itself: a panic on the way is still a panic."""
        try:
            self._machine.wait(timeout=POWER_OFF_SECONDS)
        except subprocess.TimeoutExpired:
            print("vm: the guest did not power off and was ended", file=sys.stderr)


def _outcome(request: Request, watch: _Watch) -> int | GuestError:
    """Tell a finished command from a panic, a hang and a lost guest."""
    log = request.out / "console.log"
    status = watch.status()
    if PANIC.search(log.read_text(errors="replace")):
        return KernelPanic("the guest's kernel panicked")
    if failure := watch.text("failure"):
        return GuestLost(f"the guest could not be set up: {failure}")
    if status is not None:
        return status
    if watch.timed_out:
        return TimeLimit(f"the guest was ended at the time limit of {request.timeout:g} s (--timeout: more)")
    return GuestLost("the virtual machine ended before the command did")


def _print_console_tail(out: Path) -> None:
    """Show what came last on the console; of a panic, what came first."""
    lines = (out / "console.log").read_text(errors="replace").splitlines()
    crash = next((i for i, line in enumerate(lines) if PANIC_SIGNS.search(line)), None)
    shown = lines[-TAIL_LINES:] if crash is None else lines[crash : crash + PANIC_LINES]
    print("\n".join(shown), file=sys.stderr)
