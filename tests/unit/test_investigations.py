"""Investigations: what is computed on the host, and that each published page is what its results.json says."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import START, Event, batch, header, notified_free, store, told_zsmalloc, trailer, zram_area
from pool import Pool

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
import investigate
from investigations import (
    discard,
    fragmentation,
    fragmentation_page,
    harness,
    kernel_source,
    page_cluster,
    second_copies,
    whose,
    zsmalloc_table,
)
from investigations.levels import AGAIN, CHURNED, LEVELS
from kernels import KERNELS, SetupError

from swaptrace.areas import Store
from swaptrace.engine.zsmalloc import ChainRule, FullnessRule, Geometry, geometry
from swaptrace.events import EventBatch, EventKind
from swaptrace.trace.writer import TraceWriter


def published(name: str) -> Any:
    return json.loads((harness.PUBLISHED / name / "results.json").read_text())


PUBLISHED = [name for name in investigate.NAMES if (harness.PUBLISHED / name / "results.json").exists()]


@pytest.mark.parametrize("name", investigate.NAMES)
def test_each_has_all_that_is_needed(name: str) -> None:
    investigation = investigate.named(name)
    assert set(investigation.KERNELS) <= set(KERNELS)
    assert investigation.ALONE or investigation.KERNELS
    if investigation.KERNELS:
        assert callable(import_module(f"{investigation.__name__}_guest").do)  # type: ignore[attr-defined]
    assert name in PUBLISHED or not investigation.ALONE


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_page_is_what_its_results_say(name: str, tmp_path: Path) -> None:
    results = published(name)
    assert harness.write(investigate.named(name), name, tmp_path, results) == []
    for file in ("README.md", "results.json"):
        assert (tmp_path / file).read_text() == (harness.PUBLISHED / name / file).read_text()
    charts = {chart.name for chart in (harness.PUBLISHED / name).glob("*.png")}
    assert charts == {chart.name for chart in tmp_path.glob("*.png")} != set()


def test_names_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        investigate.main(["zsmalloc-table", "weather"])
    assert "no investigation weather: there are" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ the kernel's source

DOCUMENT = """
For zspage chain size of 16, huge class watermark becomes 3840 bytes:::

  class  size       10%   ....    100% obj_allocated   obj_used pages_used pages_per_zspage freeable

  ...
    202  3264         0   ..         0             0          0          0                4        0
    254  4096         0   ..         0             0          0          0                1        0
  ...

Overall:::

  pages per zspage   number of size classes (clusters)   huge size class watermark
         4                        69                               3264
         5                        86                               3408

 7 8 9
"""
# shaped as mm/zsmalloc.c is: another loop comes first that begins in the same way
CODE = """
static int calculate_zspage_chain_size(int class_size)
{
	if (class_size > 3000) {
		return 1;
	}
	return ZS_MAX_PAGES_PER_ZSPAGE;
}

static bool can_merge(struct size_class *prev, int pages_per_zspage,
					int objs_per_zspage)
{
	return prev->pages_per_zspage == pages_per_zspage;
}

void other(void)
{
	for (i = ZS_SIZE_CLASSES - 1; i >= 0; i--) {
		nothing();
	}
}

struct zs_pool *zs_create_pool(const char *name)
{
	unknown(name);
	for (i = ZS_SIZE_CLASSES - 1; i >= 0; i--) {
		int size = ZS_MIN_ALLOC_SIZE + i * ZS_SIZE_CLASS_DELTA;
		int pages = calculate_zspage_chain_size(size);

		if (prev_class && can_merge(prev_class, pages, 0)) {
			pool->size_class[i] = prev_class;
			continue;
		}
		prev_class = kzalloc(sizeof(*prev_class), GFP_KERNEL);
		if (!prev_class)
			goto err;
		prev_class->size = size;
		prev_class->index = i;
		prev_class->pages_per_zspage = pages;
		pool->size_class[i] = prev_class;
	}
err:
	return 0;
}
"""


def test_what_the_document_says() -> None:
    rows = [kernel_source.Row(4, 69, 3264), kernel_source.Row(5, 86, 3408)]
    assert kernel_source.documented(DOCUMENT) == rows
    assert kernel_source.documented("nothing") == []
    assert kernel_source.listed(DOCUMENT, 16) == [(3264, 4), (4096, 1)]
    assert kernel_source.listed(DOCUMENT, 8) == []


def test_what_the_code_makes() -> None:
    assert kernel_source.size_classes(CODE, 7) == [(2992, 7), (4096, 1)]


@pytest.mark.parametrize("code", ["", CODE.replace("can_merge(struct", "may_merge(struct"), CODE.replace(" = i", " =")])
def test_code_that_is_not_as_expected(code: str) -> None:
    with pytest.raises(SetupError):
        kernel_source.size_classes(code, 7)


# ------------------------------------------------------------------------------------------------ size classes


@pytest.mark.parametrize("rule", ChainRule)
@pytest.mark.parametrize("chain", [4, 8, 16])
def test_classes_of_a_pool_follow_from_their_pages(chain: int, rule: ChainRule) -> None:
    pages = geometry(4096, chain, rule).arrays.classes["pages_per_zspage"].tolist()
    assert zsmalloc_table.merged(pages) == zsmalloc_table.of_model(chain, rule)


def test_numbers_that_differ_are_said() -> None:
    results = published("zsmalloc-table")
    wrong = copy.deepcopy(results)
    wrong["model"]["code"]["6.12"]["9"][0] += 1
    wrong["model"]["pools"]["6.1"]["shape"][1] += 1
    assert zsmalloc_table.misses(wrong) == [
        "chains of 9: the model has [136, 3680], the code of 6.12 [137, 3680]",
        "Linux 6.1: its pool has [69, 3265], the code of 6.1 [69, 3264]",
    ]


@pytest.mark.parametrize(
    ("numbers", "words"), [(["4", "5"], "4 and 5"), (["6"], "6"), (["4", "5", "6"], "4 to 6"), (["4", "6"], "4 and 6")]
)
def test_numbers_in_words(numbers: list[str], words: str) -> None:
    assert zsmalloc_table._and(numbers) == words


# ------------------------------------------------------------------------------------------------ fragmentation

OLD = geometry(4096, 4, ChainRule.USED_PERCENT, FullnessRule.QUARTERS)
NEW = geometry()
BOTH = pytest.mark.parametrize("geo", [OLD, NEW], ids=["old", "new"])
PAGES = 200


@BOTH
def test_what_was_only_stored_is_packed(geo: Geometry) -> None:
    sizes, order = fragmentation.random_sizes(3_000)
    filled = fragmentation.Store(geo, np.zeros(3_000, np.int64))
    filled.put(order, sizes)
    as_it_is, packed = filled.ratios()
    assert as_it_is == packed > 1
    filled.drop(order[:2_000])
    as_it_is, packed = filled.ratios()
    assert as_it_is > packed > 1


@BOTH
def test_what_is_left_and_what_is_replaced(geo: Geometry) -> None:
    """Against a pool that is followed one operation at a time."""
    sizes, order = fragmentation.random_sizes(PAGES, 20)
    assert len(np.unique(sizes)) == 20
    pool = Pool(PAGES, geo)
    for slot, size in enumerate(sizes.tolist()):
        pool.malloc(slot, size)
    for slot in order[: PAGES // 2].tolist():
        pool.free(slot)
    found = fragmentation.thinned(sizes, order, geo)
    assert found["half"][0] == pool.mem_used_total / sizes[order[PAGES // 2 :]].sum()
    other = Pool(PAGES, geo)
    for number in range(PAGES):
        if number >= PAGES // 2:
            other.free(int(order[number - PAGES // 2]))
        other.malloc(int(order[number]), int(sizes[number]))
    assert found["half, replaced"][0] == other.mem_used_total / sizes[PAGES // 2 :].sum()


def recorded(folder: Path, run: str, geo: Geometry, names: list[str], compacted: int | None = None) -> None:
    """A trace of a process whose pages go at random, and the kernel's figures at each checkpoint, by a pool apart."""
    sizes, order = fragmentation.random_sizes(PAGES)
    pool, checkpoints = Pool(PAGES, geo), []
    # a slot that was used before by another page, and at the end one that will be
    events = [store(START + 1, 0, 0, 9), notified_free(START + 2, 0, 0, 9)]
    last, other = int(order[-1]), START + 900_000
    events += [notified_free(other, 0, last, int(sizes[last])), store(other + 1, 0, last, 9)]
    for slot, size in enumerate(sizes.tolist()):
        pool.malloc(slot, size)
        events.append(store(START + 10 + slot, 0, slot, size))
    left = PAGES
    for number, name in enumerate(names):
        moment = START + 10_000 * (number + 1)
        wanted = PAGES // LEVELS.get(name, 3)
        for slot in order[PAGES - left : PAGES - wanted].tolist():
            pool.free(slot)
            events.append(notified_free(moment - 5_000 + slot, 0, slot, int(sizes[slot])))
        left = wanted
        figures = {"pages_stored": left, "same_pages": 0, "huge_pages": 0, "mem_used_total": pool.mem_used_total}
        figures["compr_data_size"] = int(sizes[order[PAGES - left :]].sum())
        checkpoints.append({"name": name, "time": moment, **figures})
    told = {
        "pages_per_zspage": geo.arrays.classes["pages_per_zspage"].tolist(),
        "fullness_rule": geo.fullness_rule.name,
    }
    start = header(
        [zram_area("/dev/zram0", 0, PAGES, 0)], [Store(0, "zram0", PAGES, allocator="zsmalloc")], zsmalloc=told
    )
    folder.mkdir(parents=True, exist_ok=True)
    writer = TraceWriter(folder / f"{run}.trace", start)
    writer.feed(batch(sorted(events, key=lambda event: event.time)))
    writer.close(trailer(START + 10**6))
    after = None if compacted is None else {"mem_used_total": compacted}
    (folder / f"{run}.json").write_text(json.dumps({"checkpoints": checkpoints, "compacted": after}))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """As if both kernels had been booted."""
    folder = tmp_path_factory.mktemp("guests")
    for kernel, algorithm, geo in (("6.1", "lzo-rle", OLD), ("6.12", "lz4", NEW)):
        recorded(folder / kernel / algorithm, "again", geo, [*LEVELS])
        recorded(folder / kernel / algorithm, "churn", geo, [CHURNED])
        recorded(folder / kernel / algorithm, "5 %", geo, ["5 %"], compacted=40_960)
    kernels = {kernel: fragmentation.measured(folder / kernel) for kernel in ("6.1", "6.12")}
    return json.loads(json.dumps({"model": published("fragmentation")["model"], "kernels": kernels}))


def test_the_model_is_what_the_kernel_says(results: Any) -> None:
    assert fragmentation.misses(results) == []
    assert results["kernels"]["6.1"]["rules"] == "chain=4,rule=used_percent,fullness=quarters"
    row = results["kernels"]["6.12"]["algorithms"]["lz4"]["again"]["checkpoints"][1]
    assert (row["name"], row["objects"]) == ("half", PAGES // 2)
    assert row["pools"]["chain=8,rule=least_waste,fullness=tenths"] == row["kernel"]["mem_used_total"]
    assert row["pools"]["chain=4,rule=used_percent,fullness=quarters"] < row["kernel"]["mem_used_total"]
    assert all(row["packed"][rules] <= row["pools"][rules] for rules in row["pools"])


@pytest.mark.parametrize(("name", "said"), [("mem_used_total", 2), ("compr_data_size", 2), ("pages_stored", 1)])
def test_what_is_not_equal_is_said(results: Any, name: str, said: int) -> None:
    wrong = copy.deepcopy(results)
    wrong["kernels"]["6.12"]["algorithms"]["lz4"]["again"]["checkpoints"][2]["kernel"][name] += 1
    missed = fragmentation.misses(wrong)
    assert len(missed) == said
    assert missed[0].startswith(f"Linux 6.12, lz4, again, at 'quarter': {name} is")


def test_lost_events_are_said(results: Any) -> None:
    wrong = copy.deepcopy(results)
    wrong["kernels"]["6.1"]["algorithms"]["lzo-rle"]["churn"]["lost_events"] = 3
    assert fragmentation.misses(wrong) == ["Linux 6.1, lzo-rle, churn: 3 events were lost"]


def test_one_rule_changes_at_a_time() -> None:
    ratios = {"chain=4,rule=a,fullness=x": 1.0, "chain=8,rule=a,fullness=x": 1.5}
    ratios |= {"chain=4,rule=b,fullness=x": 2.0, "chain=8,rule=b,fullness=x": 1.0}
    assert fragmentation_page.changes(ratios, "chain") == [0.5, -1.0]
    assert fragmentation_page._range([0.5, -1.0]) == "-1.000 to +0.500"
    assert fragmentation_page._range([-0.0001, 0.0001]) == "0"


def test_what_makes_the_difference_adds_up(results: Any) -> None:
    split = fragmentation_page.split_churn(fragmentation_page.churned(results))
    assert split is not None
    whole = split["since"] - split["before"]
    assert whole == pytest.approx(split["rules on before"] + split["workload by new"])
    assert whole == pytest.approx(split["rules on since"] + split["workload by old"])


@pytest.mark.parametrize(
    ("rules_on_before", "said"),
    [(0.0, "do not explain it: what is stored differs"), (1.0, "The kernel's rules explain it")],
)
def test_the_verdict_follows_from_the_figures(results: Any, rules_on_before: float, said: str) -> None:
    changed = copy.deepcopy(results)
    pools = {kernel: _churn(changed, kernel)["pools"] for kernel in ("6.1", "6.12")}
    held = {kernel: _churn(changed, kernel)["object_bytes"] for kernel in ("6.1", "6.12")}
    for kernel, by_new in (("6.1", 1 + rules_on_before), ("6.12", 2)):
        pools[kernel][fragmentation_page.OLD] = held[kernel]
        pools[kernel][fragmentation_page.NEW] = by_new * held[kernel]
    assert said in fragmentation_page.headline(changed)


def _churn(results: Any, kernel: str) -> Any:
    (runs,) = results["kernels"][kernel]["algorithms"].values()
    return runs["churn"]["checkpoints"][0]


def test_the_page_shows_what_was_recorded_and_compacted(results: Any) -> None:
    page = fragmentation.page(results)
    assert list(page.charts) == ["left", "chains", "churn"]
    row = next(line for line in page.text.splitlines() if line.startswith("| 6.12 | lz4 | 5 % | 10 |"))
    assert f"| {_ratio(results)} |" in row
    assert "| 6.1 | lzo-rle | 5 % |" in page.text
    assert "| 40.0 KiB |" in page.text
    assert "is left, " in page.headline
    assert AGAIN not in page.headline


def _ratio(results: Any) -> str:
    row = results["kernels"]["6.12"]["algorithms"]["lz4"]["again"]["checkpoints"][3]
    return f"{row['kernel']['mem_used_total'] / row['kernel']['compr_data_size']:.3f}"


# ------------------------------------------------------------------------------------------------ the others

SECOND = 1_000_000_000
#: Four pages go out; two of them are read back, one of these twice.
SIZES = (1000, 1001, 1002, 1003)
OUT = [store(START + slot, 0, slot, size) for slot, size in enumerate(SIZES, 1)]
BACK = [Event(START + SECOND, EventKind.LOAD, 0, slot) for slot in (1, 2, 1)]
HELD = {"pages_stored": 4, "same_pages": 0, "huge_pages": 0, "compr_data_size": sum(SIZES)}
NOTHING = {"pswpin": 0, "swap_ra": 0, "swap_ra_hit": 0, "swap_cached": 0}


def traced(
    path: Path,
    events: Sequence[Event],
    facts: Any,
    cgroups: dict[int, str] | None = None,
    vmstat: dict[str, int] | None = None,
) -> None:
    """A recording of two seconds on zram0, with a guest's figures beside it. vmstat: at the end; 0 before."""
    start = header([zram_area("/dev/zram0", 0, 64, 0)], [Store(0, "zram0", 64, allocator="zsmalloc")])
    path.parent.mkdir(parents=True, exist_ok=True)
    vmstat = vmstat or {}
    begun = dataclasses.replace(start.start, vmstat=dict.fromkeys(vmstat, 0))
    writer = TraceWriter(path, dataclasses.replace(start, start=begun, zsmalloc=told_zsmalloc()))
    made = batch(events)
    writer.feed(EventBatch(made.events, made.tasks, made.calls, cgroups or {}))
    ended = trailer(START + 2 * SECOND)
    writer.close(dataclasses.replace(ended, end=dataclasses.replace(ended.end, vmstat=vmstat)))
    path.with_suffix(".json").write_text(json.dumps(facts))


def pool_of(sizes: Sequence[int]) -> int:
    pool = Pool(len(sizes), NEW)
    for slot, size in enumerate(sizes):
        pool.malloc(slot, size)
    return pool.mem_used_total


def checkpoints(*names: str, **changes: int) -> list[dict[str, Any]]:
    """Of OUT and BACK: each is after them, but the first one, which is before BACK."""
    held = HELD | {"mem_used_total": pool_of(SIZES)}
    times = [START + SECOND // 2, *([START + 3 * SECOND // 2] * len(names))]
    return [{**held, **NOTHING, **changes, "name": name, "time": at} for name, at in zip(names, times, strict=False)]


def measured_twice(module: Any, folder: Path) -> Any:
    """As two kernels' results, as they are published."""
    found = module.measured(folder)
    return json.loads(json.dumps({"model": module.modelled(), "kernels": {"6.1": found, "6.12": found}}))


def test_second_copies(tmp_path: Path) -> None:
    for name in ("private, 0", "fork-shared, 3"):
        traced(tmp_path / f"{name}.trace", OUT + BACK, {"checkpoints": checkpoints("all out", "half read", "held")})
    results = measured_twice(second_copies, tmp_path)
    assert second_copies.misses(results) == []
    case = results["kernels"]["6.1"]["cases"]["private, 0"]
    assert [row["duplicate_slots"] for row in case["checkpoints"]] == [0, 2, 2]
    assert case["duplicates"] == {
        "peak": 2001,
        "mean": pytest.approx(2001 / 3),
        "byte_seconds": pytest.approx(2001 / 2),
    }
    page = second_copies.page(results)
    assert "second copies are 50 % of what zram holds" in page.headline
    assert "made 12 % of zram (166.2 MiB to 146.9 MiB" in page.headline
    assert "| 6.12 | fork-shared, 3 | 2.0 KiB | 667 B |" in page.text
    results["kernels"]["6.12"]["cases"]["private, 0"]["checkpoints"][1]["kernel"]["pages_stored"] = 5
    assert second_copies.misses(results) == ["Linux 6.12, private, 0, at 'half read': pages_stored is 5, not 4"]


def test_pages_read_for_nothing(tmp_path: Path) -> None:
    names = [
        f"{whose}, {order}, {log}"
        for whose in ("private", "shared")
        for order in ("in order", "at random")
        for log in (0, 3)
    ]
    for name in names:
        unused = int(name.endswith("3"))
        counted = {"swap_ra": 4 + 2 * unused, "swap_ra_hit": 4 + unused}
        before, after = checkpoints("all out", "read")
        facts = {"checkpoints": [before, after | counted | {"pswpin": 3}], "read": 3 - unused}
        traced(tmp_path / f"{name}.trace", OUT + BACK, facts, vmstat=counted)
    results = measured_twice(page_cluster, tmp_path)
    assert page_cluster.misses(results) == []
    page = page_cluster.page(results)
    assert "nobody wants 33 % with vm.page-cluster at 3, the default, and 0 % at 0" in page.headline
    assert "| 6.1 | shared, at random, 3 | 2 | 3 | 1 | 33 % |" in page.text
    case = results["kernels"]["6.1"]["cases"][names[0]]
    case["for_nothing"], case["reported"] = 7, []
    case["read_ahead"]["pswpin"] = 5
    assert page_cluster.misses(results) == [
        f"Linux 6.1, {names[0]}: pswpin is 5, not 3",
        f"Linux 6.1, {names[0]}: swap_ra less swap_ra_hit is 0, not 7",
        f"Linux 6.1, {names[0]}: the report has [], not [4, 0]",
    ]


def test_what_discarding_gains(tmp_path: Path) -> None:
    for name, held, took in (("none", 4006, 1.0), ("discard", 3906, 1.5)):
        discards = [] if name == "none" else [Event(START + SECOND, EventKind.DISCARD, 0, 8, arg=6)]
        runs = [
            {
                "checkpoints": [{"compr_data_size": size}, {"compr_data_size": size}],
                "seconds": {"swapon": 0.5, "churn": seconds, "swapoff": 0.5},
            }
            for size, seconds in ((held, took), (4006, took), (4006, 9 * took))
        ]
        facts = {"checkpoints": checkpoints("3 processes", CHURNED), "timed": runs}
        traced(tmp_path / f"{name}.trace", OUT + discards, facts)
    results = measured_twice(discard, tmp_path)
    assert discard.misses(results) == []
    one = results["kernels"]["6.1"]
    assert (discard.gained(one, "discard"), one["options"]["discard"]["requests"]) == (100, 1)
    assert one["options"]["discard"]["pages"] == 6
    assert discard.slower(one, "discard") == pytest.approx(2.5 / 2 - 1)
    page = discard.page(results)
    assert "gains at most 100 B of what zram holds during the churn, for up to 1 requests" in page.headline
    assert "in 3 rounds each, its time was within the spread of that without" in page.headline
    for times in one["options"]["discard"]["seconds"].values():
        times[:] = [30.0] * 3
    assert "with discard, the whole takes 4400 % longer at most (in the median)" in discard.headline(results)
    assert "| 6.12 | discard | 100 B | 1 | 6 | 0.50 (0.50 to 0.50) | 1.50 (1.50 to 13.50) |" in page.text
    assert "| 6.1 | file | 27.2 MiB |" in page.text


def test_whose_swap_it_is(tmp_path: Path) -> None:
    groups = {11: "/web", 12: "/batch"}
    for phase, slots in (("before", 9), ("limited", 3)):
        events = [store(START + 1, 0, 1, 500)._replace(arg=11)]
        events += [store(START + slot, 0, slot, 1000)._replace(arg=12) for slot in range(2, slots + 2)]
        charged = {"web": {"swap.current": "4096", "swap.max": "max"}}
        charged["batch"] = {"swap.current": str(4096 * slots), "swap.max": "max" if phase == "before" else "12288"}
        traced(tmp_path / f"zram, {phase}.trace", events, {"charged": charged}, groups)
    results = json.loads(json.dumps({"model": {}, "kernels": {"6.12": whose.measured(tmp_path)}}))
    assert whose.misses(results) == []
    page = whose.page(results)
    assert "names batch: 95 % of the live compressed bytes are its" in page.headline
    assert "With its memory.swap.max at 12.0 KiB, it has 2.9 KiB instead of 8.8 KiB" in page.headline
    assert "swaptrace diff" in page.text and str(tmp_path) not in page.text
    results["kernels"]["6.12"]["stores"]["zram"]["limited"]["charged"]["batch"]["swap.current"] = "4096"
    assert whose.misses(results) == ["Linux 6.12, zram, limited: memory.swap.current of batch is 4096, not 12288"]
