"""A policy is one row: one more is found everywhere. And `notify` hears of frees by the swap event notifiers alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from builders import START, Event, batch, free, header, store, trailer, zram_area

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.notifiers import SwapEvent
from swaptrace.policies import POLICIES, Drops, by

CHECKOUT = Path(__file__).parents[2]

#: Puts a row into the table before anybody else sees it, and says what becomes of it. The loops run as plain Python:
#: compiled ones have the masks that the table had then.
ONE_MORE = """
import io, json, sys
from swaptrace.policies import POLICIES, Drops, Line, Policy
POLICIES["careful"] = Policy(Drops.AT_CLUSTER_FREE | Drops.AT_SWAPON, True, "words of the table", "label of the chart",
                             "Sentence of the glossary.", Line("#123456", ":", 1.5))
from tests.mutation.uncompiled import switch_on
switch_on()
from builders import START, batch, free, header, store, swap_call, trailer, zram_area
from matplotlib.colors import to_hex
from rich.console import Console
from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.commands.report import command
from swaptrace.report import charts, pictures, words
from swaptrace.report.as_json import as_json
from swaptrace.report.text import print_text
from tests.data.documents import schema

area, zram = zram_area("/dev/zram0", 0, 64, 0), Store(0, "zram0", 64, allocator="zsmalloc")
events = [store(START + slot, 0, slot, 100) for slot in range(1, 17)]
events += [free(START + 100 + slot, 0, slot) for slot in (1, 2, 4, 5, 6, 7)]  # of clusters of 4 slots, one is free
start = header([area], [zram], slots_by_discard=False)

def stale(events):
    analysis = Analysis(start)
    analysis.feed(batch(events))
    result = analysis.finish(trailer(START + 1000))
    return result, {name: policy.stale_slots_end for name, policy in result.areas[0].policies.items()}

result, before = stale(events)
off_and_on = [swap_call(START + 300, "swapoff", area, zram), swap_call(START + 400, "swapon", area, zram)]
after = stale(events + off_and_on)[1]
out = io.StringIO()
print_text(result, Console(file=out, width=120))
(axes,) = pictures.draw(charts.policies(result.areas[0])).axes
(line,) = [line for line in axes.lines if line.get_label() == "label of the chart"]
(option,) = [option for option in command.params if option.name == "policies"]
print(json.dumps({
    "before": before, "after": after, "json": as_json(result)["areas"][0]["policies"]["careful"],
    "text": [line for line in out.getvalue().splitlines() if line.startswith("careful")],
    "glossary": words.GLOSSARY["policy careful"], "option": list(option.type.choices),
    "line": [to_hex(line.get_color()), line.get_linestyle(), line.get_linewidth()],
    "document": schema(1)["properties"]["areas"]["items"]["properties"]["policies"]["description"],
}, default=int))
"""


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Python, with those arguments."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "tests/unit")))},
    )  # fmt: skip


def test_one_more_row_is_found_everywhere() -> None:
    done = in_a_process("-c", ONE_MORE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["before"] == {"none": 6, "discard": 2, "discard_once": 6, "notify": 0, "observed": 6, "careful": 2}
    assert found["after"] == {"none": 6, "discard": 2, "discard_once": 0, "notify": 0, "observed": 6, "careful": 0}
    assert found["json"]["stale_slots_end"] == 2
    assert found["json"]["stale_compr_bytes"]["end"] == 200
    assert found["json"]["stale_compr_bytes"]["peak"] == 600  # the last free of the cluster comes before its discard
    assert any("words of the table" in line for line in found["text"])
    assert found["glossary"] == "Sentence of the glossary."
    assert found["option"] == [*POLICIES, "careful"]
    assert found["line"] == ["#123456", ":", 1.5]
    assert "`observed`, `careful`" in found["document"]


@pytest.mark.parametrize("check", ["by_hand", "streams", "nonsense", "parts", "middle", "merging", "losses"])
def test_one_more_row_with_a_delay(check: str) -> None:
    """See late_policies.py: two rows, and nothing else, against the reference and by hand."""
    done = in_a_process("tests/unit/late_policies.py", check)
    assert done.returncode == 0, done.stderr


def test_a_delay_is_one_after_the_free() -> None:
    notify = POLICIES["notify"]
    for drops, delay in ((Drops.AT_FREE, 5), (Drops.AFTER_FREE, 0), (Drops.AFTER_FREE | Drops.AT_SWAPON, -1)):
        with pytest.raises(ValueError, match=f"with a delay of {delay} ns"):
            replace(notify, drops=drops, delay=delay)


def test_policies_by_what_drops() -> None:
    assert by(Drops.AT_FREE) == ["notify"]
    assert by(Drops.AT_FREE | Drops.AS_SEEN) == ["notify", "observed"]
    assert by(Drops.NEVER) == []


def stale_of(*, registered: bool) -> dict[str, int]:
    """Slots that are stale under each policy at the end, with the store registered for slot frees or not."""
    area, zram = zram_area("/dev/zram0", 0, 64, 0), Store(0, "zram0", 64)
    events: list[Event] = [store(START + slot, 0, slot, 100) for slot in range(1, 20)]
    events += [free(START + 100 + slot, 0, slot) for slot in range(1, 12)]
    analysis = Analysis(header([area], [zram], slots_by_discard=False))
    if not registered:
        (model,) = analysis._models.values()
        analysis.notifiers.unregister(model._slot_free, SwapEvent.SLOT_FREE, 0)
    analysis.feed(batch(events))
    (found,) = analysis.finish(trailer(START + 1000)).areas
    return {name: policy.stale_slots_end for name, policy in found.policies.items()}


def test_a_store_that_is_not_registered_hears_of_no_free() -> None:
    """So that notify is what none is, and nothing else changes."""
    heard, unheard = stale_of(registered=True), stale_of(registered=False)
    assert (heard["none"], heard["notify"]) == (11, 0)
    assert unheard == {**heard, "notify": 11}
