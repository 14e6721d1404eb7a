"""The recorder's own memory: given back, and locked. In processes of their own, for it cannot be undone."""

from __future__ import annotations

import subprocess
import sys

import pytest

_USUAL = """
import re
import numpy as np
import pyarrow as pa
from swaptrace.tracing.footprint import give_back, keep_in_memory

def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1])

def work():
    rows = np.random.default_rng(1).permutation(100_000)
    return int(np.sort(rows)[77]), pa.py_buffer(rows).size
"""


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", _USUAL + code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_what_is_not_needed_is_given_back() -> None:
    """And all goes on as before: what was given back comes again when it is needed."""
    found = run("""
first = work()
junk = [bytes(1000) for _ in range(50_000)]
last = bytes(1000)
del junk
before = status("RssFile"), status("RssAnon")
give_back()
after = status("RssFile"), status("RssAnon")
print(*before, *after, first == work() == (77, 800_000))
""")
    file_before, own_before, file_after, own_after = map(int, found[:4])
    assert file_after < file_before / 2
    assert own_after <= own_before
    assert found[4] == "True"


def test_memory_is_locked_but_not_fetched() -> None:
    """Now and later; what is merely mapped takes no memory."""
    refused, before, after, locked, more = run("""
import mmap
before = status("VmRSS")
refused = keep_in_memory()
mapped = mmap.mmap(-1, 1 << 30)
print(refused is not None, before, status("VmRSS"), status("VmLck"), status("VmLck") >= 1 << 20)
""")
    if refused == "True":
        pytest.skip("this user may not lock memory")
    assert int(after) < int(before) + 10_000
    assert int(locked) > int(after)
    assert more == "True"


def test_a_refusal_is_told() -> None:
    (said,) = run("""
import os, resource
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
print((keep_in_memory() or "").replace(" ", "_"))
""")
    assert said in ("Cannot_allocate_memory", "Operation_not_permitted")
