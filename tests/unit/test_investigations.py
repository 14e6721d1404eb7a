"""Investigations: what is computed on the host, and that each published page is what its results.json says."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
import investigate
from investigations import harness, kernel_source, zsmalloc_table
from kernels import SetupError

from swaptrace.engine.zsmalloc import ChainRule, geometry


def published(name: str) -> Any:
    return json.loads((harness.PUBLISHED / name / "results.json").read_text())


@pytest.mark.parametrize("name", investigate.NAMES)
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
