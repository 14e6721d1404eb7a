"""The table in the kernel's document on zsmalloc, against the kernel's code, its pools, and the model."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kernels import CHECKOUT, SetupError
from kernels import KERNELS as TRACED
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from swaptrace.engine.zsmalloc import ChainRule, geometry
from swaptrace.report import palette, style
from swaptrace.trace.reader import TraceReader

from . import kernel_source
from .harness import Page, Results, folded, table

TITLE = "The size classes in the kernel's document on zsmalloc"
KERNELS = ()  # none is booted: their traces are here
ALONE = True
CHAINS = range(4, 17)  # that Kconfig allows
BEFORE, SINCE = "6.1", "6.12"  # the rule before 6.3, and the one since
NEWEST = "7.3"
PAGE_SIZE = 4096
TRACES = CHECKOUT / "tests" / "data"
SHOWN = 16  # the chain length whose largest classes the document shows

RULE_OF = {BEFORE: ChainRule.USED_PERCENT, SINCE: ChainRule.LEAST_WASTE}

#: (classes, watermark): how many size classes there are, and the size of the largest one that is not of whole pages.
Shape = Sequence[int]


# ------------------------------------------------------------------------------------------------ the results


def modelled() -> Results:
    sources = {release: source for release in (BEFORE, SINCE, NEWEST) if (source := _source(release)) is not None}
    return {
        "packages": {release: [source.package, source.version] for release, source in sources.items()},
        "document": {
            release: {str(row.chain): [row.classes, row.watermark] for row in kernel_source.documented(source.document)}
            for release, source in sources.items()
        },
        "code": {
            release: {str(chain): shape(kernel_source.size_classes(source.code, chain)) for chain in CHAINS}
            for release, source in sources.items()
        },
        "model": {rule.value: {str(chain): shape(of_model(chain, rule)) for chain in CHAINS} for rule in ChainRule},
        "apart": {str(chain): apart(chain) for chain in CHAINS},
        "pools": {release: pool for release in TRACED if (pool := recorded(TRACES / release / "trace.swaptrace"))},
        "shown": {
            release: {
                "document": kernel_source.listed(source.document, SHOWN),
                "code": kernel_source.size_classes(source.code, SHOWN),
            }
            for release, source in sources.items()
        },
    }


def _source(release: str) -> kernel_source.Source | None:
    """None, which is said, if Debian has it no more; without the two that the page is about, there is none."""
    try:
        return kernel_source.fetch(release)
    except SetupError as problem:
        if release in RULE_OF:
            raise
        print(f"zsmalloc-table: without Linux {release}: {problem}", file=sys.stderr)
        return None


def shape(classes: Sequence[tuple[int, int]]) -> list[int]:
    """Of size classes (bytes, pages of a zspage), by size: how many there are, and the watermark."""
    return [len(classes), max(size for size, _ in classes if size < PAGE_SIZE)]


def of_model(chain: int, rule: ChainRule) -> list[tuple[int, int]]:
    classes = geometry(PAGE_SIZE, chain, rule).arrays.classes
    _, first = np.unique(classes["index"], return_index=True)
    return list(zip(*(classes[name][first].tolist() for name in ("size", "pages_per_zspage")), strict=True))


def apart(chain: int) -> int:
    """How many classes of today's rule the earlier one does not have."""
    old, new = (set(of_model(chain, rule)) for rule in (ChainRule.USED_PERCENT, ChainRule.LEAST_WASTE))
    return len(new - old)


def recorded(trace: Path) -> dict[str, Any] | None:
    """The pool of a kernel that was traced, as its recorder read it there; None if it has no classes."""
    header = TraceReader(trace).header
    if header.zsmalloc is None or header.page_size != PAGE_SIZE:
        return None
    pages = header.zsmalloc["pages_per_zspage"]
    return {"release": header.kernel, "chain": max(pages), "shape": shape(merged(pages))}


def merged(pages_per_zspage: Sequence[int]) -> list[tuple[int, int]]:
    """The size classes of a pool, of which the kernel tells each one's pages of a zspage.

    Neighbours are one class if their zspages have as many pages and hold as many objects: can_merge() of mm/zsmalloc.c.
    """
    sizes = [min(32 + 16 * index, PAGE_SIZE) for index in range(len(pages_per_zspage))]
    alike = itertools.groupby(
        zip(sizes, pages_per_zspage, strict=True), key=lambda one: (one[1], one[1] * PAGE_SIZE // one[0])
    )
    return [list(group)[-1] for _, group in alike]


def measured(folder: Path) -> Results:
    raise NotImplementedError(f"no machine is booted for this: {folder}")


def misses(results: Results) -> list[str]:
    """Where the model is not the kernel's code, or a kernel's pool is neither's."""
    found, model = [], results["model"]
    rules = {release: rule.value for release, rule in RULE_OF.items()} | {NEWEST: ChainRule.LEAST_WASTE.value}
    for release, code in model["code"].items():
        said = model["model"][rules[release]]
        found += [
            f"chains of {chain}: the model has {said[chain]}, the code of {release} {one}"
            for chain, one in code.items()
            if said[chain] != one
        ]
    for release, pool in model["pools"].items():
        rule = BEFORE if pool["chain"] == 4 else SINCE
        said = model["code"][rule][str(pool["chain"])]
        if said != pool["shape"]:
            found.append(f"Linux {release}: its pool has {pool['shape']}, the code of {rule} {said}")
    return found


# ------------------------------------------------------------------------------------------------ the page


def page(results: Results) -> Page:
    model = results["model"]
    old, new = model["code"][BEFORE], model["code"][SINCE]
    return Page(headline(model), {"size-classes": chart(model)}, text(model, old, new))


def differing(one: Mapping[str, Shape], other: Mapping[str, Shape]) -> list[str]:
    """The chain lengths for which they have another number of classes."""
    return [chain for chain in one if one[chain][0] != other[chain][0]]


def headline(model: Results) -> str:
    document = model["document"][SINCE]
    old, new = (differing(document, model["code"][release]) for release in (BEFORE, SINCE))
    newest = max(model["document"], key=lambda release: tuple(map(int, release.split("."))))
    marks = "its watermarks are right" if _watermarks_agree(model) else "its watermarks differ, too"
    still = f" That of Linux {newest} is the same." if model["document"][newest] == document and newest != SINCE else ""
    agree = "all" if not old else str(len(document) - len(old))
    return (
        f"The table in Documentation/mm/zsmalloc.rst of Linux {SINCE} says how many size classes a pool has for each "
        f"chain length. Of its {len(document)} rows, {len(new)} are not what that kernel makes ({_and(new)} pages); "
        f"{agree} of them are what the code of Linux {BEFORE} makes when it is compiled with these chain "
        f"lengths: the table was made by the rule that was replaced in Linux 6.3, the release that the table came "
        f"with. For chains of 8, the default, it says {document['8'][0]}, and there are {new_of(model, 8)}; {marks}."
        f"{still}"
    )


def new_of(model: Results, chain: int) -> int:
    return int(model["code"][SINCE][str(chain)][0])


def _and(words: Sequence[str]) -> str:
    numbers = list(map(int, words))
    if numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2:
        return f"{numbers[0]} to {numbers[-1]}"
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _watermarks_agree(model: Results) -> bool:
    document, new = model["document"][SINCE], model["code"][SINCE]
    return all(document[chain][1] == new[chain][1] for chain in document)


def chart(model: Results) -> Figure:
    """Size classes over chain lengths: lines: by either rule; marks: what the document and kernels' pools say."""
    document = model["document"][SINCE]
    wrong = differing(document, model["code"][SINCE])
    finding = (
        f"{len(wrong)} of {len(document)} rows of the document's table are not what the kernel makes: "
        "they follow the rule before 6.3"
    )
    figure, (above, below) = style.figure(finding, "size classes of a zsmalloc pool, pages of 4 KiB", 2, 7.6)
    figure.subplots_adjust(hspace=0.18)
    chains = list(CHAINS)
    colours = {BEFORE: palette.STALE, SINCE: palette.LIVE}
    words = {BEFORE: f"code of {BEFORE}", SINCE: f"code of {SINCE}"}
    for release, colour in colours.items():
        counts = [model["code"][release][str(chain)][0] for chain in chains]
        off = [count - new_of(model, chain) for count, chain in zip(counts, chains, strict=True)]
        above.plot(chains, counts, color=colour, linewidth=2, label=words[release])
        below.plot(chains, off, color=colour, linewidth=2)
    said = [document[str(chain)][0] for chain in chains]
    apart = [count - new_of(model, chain) for count, chain in zip(said, chains, strict=True)]
    how: dict[str, Any] = {"linestyle": "", "clip_on": False, "zorder": 4}
    above.plot(chains, said, "o", color=palette.INK, markersize=8, label="document", **how)
    below.plot(chains, apart, "o", color=palette.INK, markersize=8, **how)
    for number, pool in enumerate({tuple(each["shape"]): each for each in model["pools"].values()}.values()):
        label = "kernels' own pools" if number == 0 else None
        ring: dict[str, Any] = {"markersize": 15, "markerfacecolor": "none", "markeredgewidth": 2, **how}
        above.plot(pool["chain"], pool["shape"][0], "o", color=palette.GIVEN_BACK, label=label, **ring)
        off_pool = pool["shape"][0] - new_of(model, pool["chain"])
        below.plot(pool["chain"], off_pool, "o", color=palette.GIVEN_BACK, **ring)
    above.set_ylabel("size classes")
    below.set_ylabel("more than there are")
    below.set_xlabel("longest chain, pages (CONFIG_ZSMALLOC_CHAIN_SIZE)")
    below.xaxis.set_major_locator(MultipleLocator(1))
    below.margins(y=0.2)
    style.legend(above, 4)
    return figure


def text(model: Results, old: Mapping[str, Shape], new: Mapping[str, Shape]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in model["packages"].values())
    return f"""## All rows

{_rows(model, old, new)}

Bold: not what is there today. *Code*: the two functions and the loop of mm/zsmalloc.c that make a pool's classes
(get_pages_per_zspage(), since 6.3 calculate_zspage_chain_size(); can_merge(); zs_create_pool()), compiled as they are,
with each chain length, and run. *Model*: swaptrace.engine.zsmalloc, by `used_percent` (up to 6.2) and `least_waste`
(from 6.3). Sources, from which the document's table is read, too: {packages}.

Up to 6.2, a class took the shortest chain of which objects use the largest whole *percentage*; since 6260ae358345,
"zsmalloc: rework zspage chain size selection", Linux 6.3, it takes the one with the fewest *bytes* left over at its
end. The option for the chain's length and the table came in the same release, two patches later (4ff93b292c0b,
"zsmalloc: make zspage chain size configurable"); the document of {BEFORE} has {_has(model)}. Both rules give as many
classes for chains of {_and(_same(old, new))} pages, but not the same ones: {_moved(model)}.

## The kernels' own pools

{_pools(model)}

Debian's kernels have no CONFIG_ZSMALLOC_STAT, so there is no /sys/kernel/debug/zsmalloc. What that shows of each class,
`pages_per_zspage`, the recorder reads out of the pool itself (`zsmalloc` in the header of the traces in tests/data);
neighbours with as many pages and objects are one class.

## What else of the document

{_shown(model)}

## What was expected

{_expected(model)}

{folded("The table, as the document has it", _document(model))}
"""


def _has(model: Results) -> str:
    return "one, too" if model["document"][BEFORE] else "none"


def _moved(model: Results) -> str:
    """By how many classes the rules differ, where their number does not tell."""
    old, new = (model["code"][release] for release in (BEFORE, SINCE))
    return ", ".join(f"{model['apart'][chain]} of {new[chain][0]} with chains of {chain}" for chain in _same(old, new))


def _same(one: Mapping[str, Shape], other: Mapping[str, Shape]) -> list[str]:
    different = differing(one, other)
    return [chain for chain in one if chain not in different]


def _rows(model: Results, old: Mapping[str, Shape], new: Mapping[str, Shape]) -> str:
    document = model["document"][SINCE]
    before, since = (model["model"][RULE_OF[release].value] for release in (BEFORE, SINCE))
    rows = []
    for chain, (classes, watermark) in document.items():
        shown = str(classes) if classes == new[chain][0] else f"**{classes}**"
        marks = {watermark, old[chain][1], new[chain][1]}
        rows.append(
            [
                chain, shown, str(old[chain][0]), str(before[chain][0]), str(new[chain][0]), str(since[chain][0]),
                ", ".join(map(str, sorted(marks))),
            ]
        )  # fmt: skip
    head = ["chain", "document", f"code of {BEFORE}", "model, used_percent", f"code of {SINCE}", "model, least_waste"]
    return table([*head, "watermark (all)" if _watermarks_agree(model) else "watermarks"], rows)


def _pools(model: Results) -> str:
    rows = []
    for pool in model["pools"].values():
        document = model["document"][SINCE].get(str(pool["chain"]))
        said = "–" if document is None else str(document[0])  # noqa: RUF001
        rows.append([pool["release"], str(pool["chain"]), *map(str, pool["shape"]), said])
    return table(["kernel", "longest chain", "size classes", "watermark", "the document's table"], rows)


def _shown(model: Results) -> str:
    found = []
    for release in (BEFORE, SINCE):
        document = {tuple(row) for row in model["shown"][SINCE]["document"]}
        least = min(size for size, _ in document)
        code = {tuple(row) for row in model["shown"][release]["code"] if row[0] >= least}
        off = (
            [f"{_classes(document - code)} where the code has {_classes(code - document)}"] if document != code else []
        )
        found.append(f"by the code of {release}: " + ("all of them are right" if not off else f"it has {off[0]}"))
    return f"For chains of {SHOWN} pages it shows the largest classes one by one; {'; '.join(found)}."


def _classes(rows: set[tuple[int, ...]]) -> str:
    return " and ".join(f"{size:,} bytes in {pages} pages" for size, pages in sorted(rows)) or "none"


def _expected(model: Results) -> str:
    expected = {"4": 69, "5": 86, "6": 93, "7": 107}  # as the question was asked
    document = model["document"][SINCE]
    wrong = [
        f"{document[chain][0]} for {chain}, not {count}"
        for chain, count in expected.items()
        if document[chain][0] != count
    ]
    was = f"Of the document's numbers one was remembered wrongly: it says {'; '.join(wrong)}. " if wrong else ""
    return (
        f"That the table is older than the kernel's rule, and that {new_of(model, 6)}, {new_of(model, 7)}, "
        f"{new_of(model, 8)}, ... are today's numbers, holds. {was}It is not wrong in one direction only: "
        f"{_directions(model)}."
    )


def _directions(model: Results) -> str:
    document = model["document"][SINCE]
    off = {chain: document[chain][0] - new_of(model, int(chain)) for chain in document}
    high, low = [c for c, d in off.items() if d > 0], [c for c, d in off.items() if d < 0]
    return f"too high for chains of {_and(high)} (by up to {max(off.values())}), too low for {_and(low)}"


def _document(model: Results) -> str:
    rows = [[chain, *map(str, shape_)] for chain, shape_ in model["document"][SINCE].items()]
    return table(["pages per zspage", "number of size classes (clusters)", "huge size class watermark"], rows)
