"""The page on fragmentation, from what results.json holds. No figure is typed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from swaptrace import units
from swaptrace.report import palette, style

from .harness import Page, Results, folded, table
from .levels import AGAIN, CHURNED, LEVELS, REPLACED

#: From the rules of 6.1 to those of 6.12, one change after the other, and back.
STEPS = {
    "chain=4,rule=used_percent,fullness=quarters": "6.1's rules",
    "chain=8,rule=used_percent,fullness=quarters": "chains of 8",
    "chain=8,rule=least_waste,fullness=quarters": "and least waste",
    "chain=8,rule=least_waste,fullness=tenths": "and tenths: 6.12's rules",
}
OLD, *_, NEW = STEPS
COLOURS = {OLD: palette.LIVE, NEW: palette.STALE}
#: What rules differ in: its name, and the values before and after.
FACTORS = {
    "chain": ("chain length, 4 to 8 pages", "4", "8"),
    "rule": ("chain rule, used_percent to least_waste", "used_percent", "least_waste"),
    "fullness": ("fullness rule, quarters to tenths", "quarters", "tenths"),
}
LEVEL_COLOURS = (palette.MUTED, "#56B4E9", "#E69F00", palette.STALE)
CHURN, AGAIN_RUN = "churn", "again"
BEFORE, SINCE = ("6.1", "lzo-rle"), ("6.12", "lz4")  # whose churn the question was asked about

Ratios = Mapping[str, float]  # pool over compressed bytes, by rules


class Moment(NamedTuple):
    """A checkpoint of a recording."""

    kernel: str
    algorithm: str
    rules: str  # that this kernel has
    run: str
    row: dict[str, Any]

    @property
    def pools(self) -> Ratios:
        return {rules: size / self.row["object_bytes"] for rules, size in self.row["pools"].items()}

    @property
    def packed(self) -> Ratios:
        return {rules: size / self.row["object_bytes"] for rules, size in self.row["packed"].items()}

    @property
    def measured(self) -> float:
        return float(self.row["kernel"]["mem_used_total"] / self.row["kernel"]["compr_data_size"])


def moments(results: Results) -> Iterator[Moment]:
    """All checkpoints whose pool is of interest: the second filling's run has what those before have, too."""
    for kernel, one in results["kernels"].items():
        for algorithm, runs in one["algorithms"].items():
            for name in (AGAIN_RUN, CHURN):
                for row in runs.get(name, {"checkpoints": []})["checkpoints"]:
                    yield Moment(kernel, algorithm, one["rules"], name, row)


def page(results: Results) -> Page:
    charts = {"left": left_chart(results), "chains": chains_chart(results["model"])}
    if churned(results):
        charts["churn"] = churn_chart(results)
    return Page(headline(results), charts, text(results))


# ------------------------------------------------------------------------------------------------ what is found


def model_ratios(model: Results, level: str, which: int = 0) -> Ratios:
    """By rules; which: 0 as it is, 1 packed."""
    return {rules: found[level][which] for rules, found in model["by_rules"].items()}


def changes(ratios: Ratios, factor: str) -> list[float]:
    """By how much that factor alone changes the ratio, whatever the others are."""
    _, before, after = FACTORS[factor]
    found = []
    for rules, ratio in ratios.items():
        words = rules.split(",")
        if f"{factor}={before}" in words:
            other = ",".join(f"{factor}={after}" if word == f"{factor}={before}" else word for word in words)
            found.append(ratios[other] - ratio)
    return found


def churned(results: Results) -> list[Moment]:
    """The churn's last checkpoint at which processes live, for each recording."""
    return [one for one in moments(results) if one.run == CHURN and one.row["name"] == CHURNED]


def headline(results: Results) -> str:
    said = [_of_model(results["model"])]
    if found := churned(results):
        said.append(_of_churn(found))
    if compacted := list(compactions(results)):
        said.append(_of_compaction(compacted))
    return "\n\n".join(said)


def _of_model(model: Results) -> str:
    full, half, five, steady = (model_ratios(model, level) for level in ("full", "half", "5 %", REPLACED))
    largest = {
        factor: max(max(map(abs, _changes_of_model(model, level, factor))) for level in (*LEVELS, REPLACED))
        for factor in FACTORS
    }
    others = max(largest["rule"], largest["fullness"])
    filled = (
        "the holes are filled, and longer chains lose nothing"
        if steady[NEW] <= steady[OLD]
        else "longer chains lose less"
    )
    return (
        f"Of {units.count(model['objects'])} pages of random compressed sizes, chains of up to 8 pages make a smaller "
        f"pool than chains of 4 while it is full ({full[NEW]:.2f} against {full[OLD]:.2f} times the compressed bytes), "
        f"and a larger one once pages go at random: {half[NEW]:.2f} against {half[OLD]:.2f} when half is left, "
        f"{five[NEW]:.2f} against {five[OLD]:.2f} at 5 %. It is the chain's length that does it: that alone changes "
        f"the ratio by up to {largest['chain']:.2f}, the chain rule or the fullness rule alone by {others:.2f} at "
        f"most. Where what goes is replaced by as much, {filled}: {steady[NEW]:.2f} against {steady[OLD]:.2f}."
    )


def _changes_of_model(model: Results, level: str, factor: str) -> list[float]:
    """With chains of 4 and 8 pages: those that kernels have."""
    ratios = model_ratios(model, level)
    known = {rules: ratio for rules, ratio in ratios.items() if rules.startswith(("chain=4,", "chain=8,"))}
    return changes(known, factor)


def split_churn(found: Sequence[Moment]) -> dict[str, float] | None:
    """What makes the churn's ratio differ between the two kernels; None without both recordings."""
    by_name = {(one.kernel, one.algorithm): one for one in found}
    if BEFORE not in by_name or SINCE not in by_name:
        return None
    before, since = by_name[BEFORE].pools, by_name[SINCE].pools
    return {
        "before": before[OLD],
        "since": since[NEW],
        "rules on before": before[NEW] - before[OLD],
        "rules on since": since[NEW] - since[OLD],
        "workload by old": since[OLD] - before[OLD],
        "workload by new": since[NEW] - before[NEW],
    }


def _of_churn(found: Sequence[Moment]) -> str:
    split = split_churn(found)
    if split is None:
        each = ", ".join(f"{one.measured:.2f} on {one.kernel} with {one.algorithm}" for one in found)
        return f"After the churn, the pool over the compressed bytes is {each}."
    by_name = {(one.kernel, one.algorithm): one for one in found}
    sizes = {name: by_name[name].row["different_sizes"] for name in (BEFORE, SINCE)}
    whole = split["since"] - split["before"]
    rules = sorted((split["rules on before"], split["rules on since"]))
    enough = rules[0] >= 0.8 * whole
    verdict = (
        "The kernel's rules explain it"
        if enough
        else "The kernel's rules alone do not explain it: what is stored differs as well"
    )
    packed = by_name[SINCE].packed
    why = (
        ""
        if enough
        else (
            f" These spread over so many size classes that most have few objects, and a zspage that is not full: even "
            f"packed, they would take {packed[NEW]:.2f} times their bytes by the rules of {SINCE[0]}, "
            f"{packed[OLD]:.2f} by those of {BEFORE[0]}."
        )
    )
    return (
        f"After the churn, the pool is {split['before']:.2f} times the compressed bytes on {_name(BEFORE)} and "
        f"{split['since']:.2f} times on {_name(SINCE)}. {verdict}. The same events under the other kernel's rules: "
        f"{split['rules on before']:+.2f} on the recording of {BEFORE[0]}, where the pages have {sizes[BEFORE]} "
        f"different compressed sizes, and {-split['rules on since']:+.2f} on that of {SINCE[0]}, where they have "
        f"{sizes[SINCE]}.{why}"
    )


def _name(name: tuple[str, str]) -> str:
    return f"Linux {name[0]} with {name[1]}"


class Compaction(NamedTuple):
    """What `echo 1 > compact` did: bytes of the pool before and after, and what the model says of a packed one."""

    kernel: str
    algorithm: str
    run: str
    before: int
    after: int
    packed: int
    bytes: int


def compactions(results: Results) -> Iterator[Compaction]:
    for kernel, one in results["kernels"].items():
        for algorithm, runs in one["algorithms"].items():
            for name in [*(level for level in LEVELS if level in runs), *sorted(runs.keys() - LEVELS.keys())]:
                if (run := runs[name])["compacted"] is not None:
                    row = run["checkpoints"][-1]
                    yield Compaction(
                        kernel, algorithm, name, row["kernel"]["mem_used_total"], run["compacted"],
                        row["packed"][one["rules"]], row["object_bytes"],
                    )  # fmt: skip


def _of_compaction(found: Sequence[Compaction]) -> str:
    off = max(abs(one.after - one.packed) / one.packed for one in found)
    exact = "to the byte" if off == 0 else f"within {units.percent(off)}"
    few = [one for one in found if one.run == "5 %"] or list(found)
    each = "; ".join(
        f"{units.percent(1 - one.after / one.before)} on {one.kernel} with {one.algorithm} "
        f"({one.before / one.bytes:.2f} to {one.after / one.bytes:.2f})"
        for one in few
    )
    return (
        f"`echo 1 > compact` gives it back: of the pool when {few[0].run} is left, {each}. What is left of the pool "
        f"then is what the model says of objects in as few zspages as they fit into, {exact}."
    )


# ------------------------------------------------------------------------------------------------ the charts


def left_chart(results: Results) -> Figure:
    """Pool over compressed bytes by what is left: the model's random sizes, then each recording."""
    model = results["model"]
    five = model_ratios(model, "5 %")
    finding = (
        f"Freed at random, pools with chains of 8 keep more pages: {five[NEW]:.1f} times the compressed bytes at 5 % "
        f"left, {five[OLD]:.1f} with chains of 4"
    )
    panels: list[tuple[str, Callable[[Axes], None]]] = [("model,\nrandom sizes", lambda axes: _draw_model(axes, model))]
    for kernel, one in results["kernels"].items():
        for algorithm, runs in one["algorithms"].items():
            if AGAIN_RUN in runs:
                label = f"Linux {kernel},\n{algorithm}"
                panels.append((label, lambda axes, one=one, runs=runs: _draw_recording(axes, one["rules"], runs)))
    subject = "pool over compressed bytes, by how much of what was stored is left"
    figure, axes = style.figure(finding, subject, len(panels), 2.4 + 2.3 * len(panels))
    figure.subplots_adjust(hspace=0.22)
    for each, (label, draw) in zip(axes, panels, strict=True):
        draw(each)
        each.set_ylabel(label)
        each.set_ylim(bottom=0)
        each.yaxis.set_major_locator(MultipleLocator(2))
        each.axhline(1, color=palette.MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes[-1].set_xticks(range(len(LEVELS)), [level + " left" * (level != "full") for level in LEVELS])
    handles = [
        Line2D([], [], color=colour, linewidth=2, label=STEPS[rules].split(": ")[-1])
        for rules, colour in COLOURS.items()
    ]
    handles.append(Line2D([], [], color=palette.INK, linewidth=1.6, linestyle=":", label="packed"))
    if len(panels) > 1:
        handles.append(Line2D([], [], color=palette.INK, marker="x", linestyle="", markersize=8, label="mm_stat"))
        handles.append(Line2D([], [], color=palette.INK, marker="+", linestyle="", markersize=10, label="compacted"))
    style.legend(axes[0], 5, handles)
    return figure


def _draw_model(axes: Axes, model: Results) -> None:
    for rules, colour in COLOURS.items():
        for which, line in ((0, "-"), (1, ":")):
            values = [model["by_rules"][rules][level][which] for level in LEVELS]
            axes.plot(range(len(LEVELS)), values, line, color=colour, linewidth=2)
            if which == 0:
                _label(axes, values[-1], colour)


def _draw_recording(axes: Axes, own: str, runs: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in runs[AGAIN_RUN]["checkpoints"]}
    places = [(number, rows[level]) for number, level in enumerate(LEVELS) if level in rows]
    for rules, colour in COLOURS.items():
        for key, line in (("pools", "-"), ("packed", ":")):
            values = [row[key][rules] / row["object_bytes"] for _, row in places]
            axes.plot([x for x, _ in places], values, line, color=colour, linewidth=2)
            if key == "pools":
                _label(axes, values[-1], colour)
    marks: dict[str, Any] = {"linestyle": "", "color": palette.INK, "zorder": 4, "clip_on": False}
    measured = [row["kernel"]["mem_used_total"] / row["kernel"]["compr_data_size"] for _, row in places]
    axes.plot([x for x, _ in places], measured, marker="x", markersize=8, **marks)
    for number, level in enumerate(LEVELS):
        if (run := runs.get(level)) and run["compacted"] is not None:
            ratio = run["compacted"] / run["checkpoints"][-1]["object_bytes"]
            axes.plot(number, ratio, marker="+", markersize=10, **marks)


def _label(axes: Axes, value: float, colour: str) -> None:
    style.text(axes, len(LEVELS) - 0.95, value, f"{value:.1f}", color=colour, va="center")


def chains_chart(model: Results) -> Figure:
    """Pool over compressed bytes by chain length, at each level."""
    rows = {
        level: {rule: _by_chain(model, level, rule) for rule in ("least_waste", "used_percent")} for level in LEVELS
    }
    most, least = (best(rows["5 %"]["least_waste"].items(), key=lambda one: one[1]) for best in (max, min))
    finding = (
        f"Once pages go at random, longer chains keep more: at 5 % left {most[1]:.1f} times the compressed bytes with "
        f"chains of {most[0]}, {least[1]:.1f} with chains of {least[0]}"
    )
    subject = f"model: {units.count(model['objects'])} random sizes, pool over compressed bytes (logarithmic)"
    figure, (axes,) = style.figure(finding, subject, height=6.2)
    for colour, (level, by) in zip(LEVEL_COLOURS, rows.items(), strict=True):
        for rule, line in (("least_waste", "-"), ("used_percent", ":")):
            axes.plot(list(by[rule]), list(by[rule].values()), line, color=colour, linewidth=2)
        style.text(axes, 16.15, by["least_waste"][16], level, color=colour, va="center")
    axes.set_yscale("log", base=2)
    ticks = [1, 1.5, 2, 3, 4, 6, 8, 10]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.set_xlim(3.8, 17.2)
    axes.set_xticks(range(4, 17))
    axes.set_xlabel("longest chain, pages (CONFIG_ZSMALLOC_CHAIN_SIZE)")
    lines = (("least_waste (from 6.3)", "-"), ("used_percent (up to 6.2)", ":"))
    style.legend(axes, 2, [Line2D([], [], color=palette.INK, linestyle=line, label=label) for label, line in lines])
    return figure


def _by_chain(model: Results, level: str, rule: str) -> dict[int, float]:
    rules = {chain: f"chain={chain},rule={rule},fullness=tenths" for chain in range(4, 17)}
    return {chain: model["by_rules"][name][level][0] for chain, name in rules.items()}


def churn_chart(results: Results) -> Figure:
    """The churn of each recording, under either kernel's rules, as it is and packed."""
    found = churned(results)
    split = split_churn(found)
    finding = "What the churn's pool is over its compressed bytes, under either kernel's rules"
    if split is not None:
        finding = (
            f"The churn's pool by 6.12's rules, not 6.1's: {split['rules on before']:+.2f} on {BEFORE[0]}'s recording, "
            f"{split['rules on since']:+.2f} on {SINCE[0]}'s"
        )
    subject = f"pool over compressed bytes after {CHURNED}; dark: the part that packed objects need"
    figure, (axes,) = style.figure(finding, subject, height=5.6)
    width = 0.36
    for number, one in enumerate(found):
        for side, (rules, colour) in enumerate(COLOURS.items()):
            x = number + (side - 0.5) * width
            axes.bar(x, one.pools[rules], width * 0.94, color=colour, alpha=0.45)
            axes.bar(x, one.packed[rules], width * 0.94, color=colour)
            style.text(axes, x, one.pools[rules] + 0.05, f"{one.pools[rules]:.2f}", ha="center")
        own = number + (list(COLOURS).index(one.rules) - 0.5) * width
        axes.plot(own, one.measured, "x", color=palette.INK, markersize=9)
    names = [f"{one.kernel}, {one.algorithm}\n{one.row['different_sizes']} sizes" for one in found]
    axes.set_xticks(range(len(found)), names)
    axes.axhline(1, color=palette.MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    handles = [
        Line2D([], [], color=colour, linewidth=8, label=STEPS[rules].split(": ")[-1])
        for rules, colour in COLOURS.items()
    ]
    handles.append(Line2D([], [], color=palette.INK, marker="x", linestyle="", markersize=9, label="mm_stat"))
    style.legend(axes, 3, handles)
    return figure


# ------------------------------------------------------------------------------------------------ the rest of the page


def text(results: Results) -> str:
    model = results["model"]
    return f"""## How

A zspage goes back to the system when its last object goes. One of k objects stays with a probability of
1 - (1 - p)^k when a share p of all objects is left, so the more objects a zspage has, the longer it stays: on average
over these sizes, {_per_zspage(model)}.

{_measured_how(results)}

*Packed* is the pool with the objects of each size class in as few zspages as they fit into: what compaction can reach.

## The model alone

![By chain length](chains.png)

{units.count(model["objects"])} objects of random sizes (1 to 4,096 bytes) are stored, then freed in a random order.
*{REPLACED}*: half of as many slots are full, and each object goes in a random order, replaced by another one.

{_steps_table(model)}

Pool over compressed bytes; one change after the other from left to right, from the rules of 6.1 to those of 6.12.

{folded("All chain lengths", _chains_table(model))}

## Which rule does it

{_factors_table(results)}

By how much the ratio changes when one rule alone does: the smallest and the largest change, whatever the other two
rules are.

## How many objects, and how many sizes

{_small_table(model)}

Few objects whose sizes spread over many classes cost something before any of them goes: most classes have a zspage
that is not full, and longer chains mean more classes and larger zspages. Compaction cannot give those back.

{_recorded(results)}

## What was expected

{_expected(results)}
"""


def _per_zspage(model: Results) -> str:
    old, new = (model["objects_per_zspage"][rules] for rules in (OLD, NEW))
    return f"{old:.0f} objects by the rules of 6.1, {new:.0f} by those of 6.12"


def _measured_how(results: Results) -> str:
    if not results["kernels"]:
        return "No kernel was booted for this yet: what follows is the model's, which the tests hold against kernels."
    kernels = ", ".join(f"{one['release']} ({one['day']})" for one in results["kernels"].values())
    return f"""On {kernels}, a process was paged out to zram and gave pages back at random,
down to a half, a quarter and 5 %; then another one was paged out into what was free, and did the same; and the
counterfactual's churn ran. All was recorded, and each recording is replayed under all rules (`report --until` and
`--what-if` do the same with one). At every checkpoint, by its own rules, the pool has to be mem_used_total to the byte,
and the sizes of its objects compr_data_size. Where a pool was compacted, that was after its recording had ended."""


def _ratio(value: float) -> str:
    return f"{value:.3f}"


def _steps_table(model: Results) -> str:
    rows = [
        [
            level,
            *(_ratio(model_ratios(model, level)[rules]) for rules in STEPS),
            *(_ratio(model_ratios(model, level, 1)[rules]) for rules in (OLD, NEW)),
        ]
        for level in (*LEVELS, REPLACED)
    ]
    return table(["left", *STEPS.values(), "packed, 6.1's", "packed, 6.12's"], rows)


def _chains_table(model: Results) -> str:
    rows = []
    for rules, found in model["by_rules"].items():
        words = dict(word.split("=") for word in rules.split(","))
        rows.append([*words.values(), *(f"{found[level][0]:.3f} ({found[level][1]:.3f})" for level in found)])
    levels = next(iter(model["by_rules"].values()))
    return "Pool over compressed bytes (packed).\n\n" + table([*FACTORS, *levels], rows)


def _factors_table(results: Results) -> str:
    rows = []
    for factor, (words, *_) in FACTORS.items():
        cells = [_range(_changes_of_model(results["model"], level, factor)) for level in (*LEVELS, REPLACED)]
        rows.append(["model", words, *cells, ""])
    recorded: dict[tuple[str, str], dict[str, Moment]] = {}
    for one in moments(results):
        recorded.setdefault((one.kernel, one.algorithm), {})[one.row["name"]] = one
    for name, found in recorded.items():
        for factor, (words, *_) in FACTORS.items():
            cells = [
                _range(changes(found[level].pools, factor)) if level in found else ""
                for level in (*LEVELS, f"half{AGAIN}", CHURNED)
            ]
            rows.append([_name(name), words, *cells])
    last = f"{REPLACED} (model); half{AGAIN} (recorded)"
    return table(["", "what changes", *LEVELS, last, "churn"], rows)


def _range(values: Sequence[float]) -> str:
    low, high = (f"{value:+.3f}".replace("-0.000", "0").replace("+0.000", "0") for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _small_table(model: Results) -> str:
    rows = []
    for group, words in (("by_objects", "objects, any size"), ("by_sizes", "different sizes, of 1,000 objects")):
        for count, found in model[group].items():
            cells = [
                f"{found[OLD][level][which]:.2f} / {found[NEW][level][which]:.2f}"
                for level in ("full", "half", "quarter")
                for which in (0, 1)
            ]
            rows.append([f"{units.count(int(count))} {words}", *cells])
    head = [f"{level}{packed}" for level in ("full", "half", "quarter") for packed in ("", ", packed")]
    return "Pool over compressed bytes, by the rules of 6.1 / by those of 6.12.\n\n" + table(["", *head], rows)


def _recorded(results: Results) -> str:
    if not results["kernels"]:
        return ""
    parts = ["## On the kernels", "![The churn](churn.png)" if churned(results) else ""]
    parts += [_moments_table(results), _compactions_table(results)]
    return "\n\n".join(filter(None, parts))


def _moments_table(results: Results) -> str:
    wanted = {*LEVELS, *(level + AGAIN for level in LEVELS), CHURNED}
    shown, all_of_them = [], []
    for one in moments(results):
        cells = [
            one.kernel, one.algorithm, one.row["name"], units.count(one.row["objects"]), _ratio(one.measured),
            *(_ratio(one.pools[rules]) for rules in STEPS), *(_ratio(one.packed[rules]) for rules in (OLD, NEW)),
        ]  # fmt: skip
        all_of_them.append(cells)
        if one.row["name"] in wanted:
            shown.append(cells)
    head = ["Linux", "with", "left", "objects", "mm_stat", *STEPS.values(), "packed, 6.1's", "packed, 6.12's"]
    words = (
        "Pool over compressed bytes. From left to right the rules change one by one from those of 6.1 to those of "
        "6.12; on the latter's recordings, read it from right to left."
    )
    return "\n\n".join([words, table(head, shown), folded("Every checkpoint", table(head, all_of_them))])


def _compactions_table(results: Results) -> str:
    rows = [
        [
            one.kernel, one.algorithm, one.run, units.size(one.before), units.size(one.after), units.size(one.packed),
            units.percent(1 - one.after / one.before), f"{one.before / one.bytes:.2f}", f"{one.after / one.bytes:.2f}",
        ]
        for one in compactions(results)
    ]  # fmt: skip
    if not rows:
        return ""
    head = ["Linux", "with", "left", "pool", "compacted", "packed, by the model", "given back", "ratio before", "after"]
    return "## What compaction gives back\n\n" + table(head, rows)


def _expected(results: Results) -> str:
    model = results["model"]
    full = model_ratios(model, "full")
    said = [
        "That pools keep more pages since 6.3 for the bytes that are left holds where pages go at random and nothing "
        f"comes in their place, and the chain's length is why. A full pool is smaller since then ({full[NEW]:.3f} "
        f"against {full[OLD]:.3f})."
    ]
    split = split_churn(churned(results))
    if split is None:
        said.append(
            "The question was asked because of 1.09 on 6.1 and 1.62 on 6.12 after the churn. Whether the rules make "
            "that difference, recordings of both kernels will say."
        )
    else:
        whole = split["since"] - split["before"]
        said.append(
            f"The question was asked because of {split['before']:.2f} on 6.1 and {split['since']:.2f} on 6.12 after "
            f"the churn, {whole:+.2f}. Of that, the rules make {split['rules on since']:+.2f} on 6.12's recording and "
            f"{split['rules on before']:+.2f} on 6.1's; the rest, {split['workload by old']:+.2f} by 6.1's rules and "
            f"{split['workload by new']:+.2f} by 6.12's, is what was stored. Debian's 6.1 compresses with lzo-rle, its "
            "6.12 with lz4, and the same pages come out with few and with many different sizes."
            + ("" if split["rules on before"] > 0.5 * whole else " The rules alone do not make that figure.")
        )
    return "\n\n".join(said)
