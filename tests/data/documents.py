"""What the code says to readers: the catalogue, the tables of docs/report-json.md and the report's JSON Schema; the
commands, docs/cli.md; and what the document of `swaptrace diff` says of itself, the tables of docs/diff.md and its JSON
Schema.

And what the columns of exported tables are, in docs/api.md. Run it after a change of these, and it writes all anew:
python -m tests.data.documents. tests/unit/test_catalogue.py, test_manual.py and test_export.py compare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from swaptrace import manual
from swaptrace.diff import document as diff
from swaptrace.diff.figures import RATIOS
from swaptrace.dimensions import DIMENSIONS
from swaptrace.findings.finding import Severity
from swaptrace.report.as_json import SCHEMA_VERSION
from swaptrace.results.catalogue import FIGURES, INTEGRAL_PARTS, Better, Figure, Kind, Unit, children, inside
from swaptrace.results.groups import GROUP_FIGURES, POOL_FIGURE
from swaptrace.tables.columns import NAME, Table
from swaptrace.tables.rows import TABLES

ALL_OF_GROUPS = (*GROUP_FIGURES, POOL_FIGURE)
DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT, SCHEMA, API = DOCS / "report-json.md", DOCS / "report.schema.json", DOCS / "api.md"
COMMAND_LINE = DOCS / "cli.md"

_TABLE = re.compile(r"(<!-- figures of (?P<of>[^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)
_COLUMNS = re.compile(r"(<!-- columns of (?P<of>[^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)
DIFF_DOCUMENT, DIFF_SCHEMA = DOCS / "diff.md", DOCS / "diff.schema.json"
_SECTION, _OF_DIFF = "section ", "diff "
_INTEGRAL, _GROUP, _RATIOS = "an integral", "a group", "ratios"


def written(text: str) -> str:
    """The document with its tables as the catalogue has them now.

    Each is between `<!-- figures of X -->` and `<!-- end -->`, where X is `section NAME` (fields of an area),
    `an integral`, `a group` (of `by`), or names of groups that are alike (`lifetime_ns, time_to_reuse_ns`); of a
    comparison, `diff CLASS` and `ratios`.
    """
    return _TABLE.sub(lambda found: found[1] + "\n".join(_table(found["of"])) + "\n" + found[3], text)


def columns_written(text: str) -> str:
    """The document with the columns of tables as they are: between `<!-- columns of TABLE -->` and `<!-- end -->`."""
    return _COLUMNS.sub(lambda found: found[1] + "\n".join(_columns(TABLES[found["of"]])) + "\n" + found[3], text)


def _columns(table: Table) -> list[str]:
    rows = [
        f"| `{each.name}` | {_KINDS.get(str(each.type), each.type)} | {each.unit} | {each.sentence} |"
        for each in table.columns
    ]
    return [
        "",
        f"`{table.name}`: a row is {table.sentence}.",
        "",
        "| column | type | unit | what |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


_KINDS = {str(NAME): "name", "string": "text"}


def _table(of: str) -> list[str]:
    if of.startswith(_OF_DIFF):
        return _of_class(getattr(diff, of.removeprefix(_OF_DIFF)))
    if of == _RATIOS:
        rows = [f"| `{ratio.name}` | {ratio.unit} | {ratio.sentence} |" for ratio in RATIOS.values()]
        return ["| ratio | unit | what |", "|---|---|---|", *rows]
    if of == _INTEGRAL:
        rows = [f"| `{part}` | {Unit.BYTES} | {sentence} |" for part, sentence in INTEGRAL_PARTS.items()]
        return ["| field of an integral | unit | what |", "|---|---|---|", *rows]
    if of == _GROUP:
        rows = [f"| `{row.name}` | {row.unit} | {row.sentence} |" for row in ALL_OF_GROUPS]
        where = [f"`by.{place}`" for place in ("groups[]", "groups[].tree", "others", "total")]
        return [f"| field of {', '.join(where)} | unit | what |", "|---|---|---|", *rows]
    if of.startswith(_SECTION):
        where, figures = ["areas[]"], [row for row in children() if row.section == of.removeprefix(_SECTION)]
    else:
        groups = of.split(", ")
        where, figures = [_where(group) for group in groups], children(groups[0])
    head = " and ".join(f"`{place}`" for place in where)
    return [f"| field of {head} | unit | what |", "|---|---|---|", *map(_line, figures)]


def _of_class(kind: type[Any]) -> list[str]:
    """The fields of a class of the document of `swaptrace diff`, as they are annotated."""
    told = {name: hint.__metadata__[0].description for name, hint in get_type_hints(kind, include_extras=True).items()}
    return ["| field | what |", "|---|---|", *(f"| `{name}` | {sentence} |" for name, sentence in told.items())]


def _where(group: str) -> str:
    is_list = any(row.name == group and row.kind is Kind.LIST for row in FIGURES)
    return f"areas[].{group}{'[]' if is_list else ''}"


def _line(row: Figure) -> str:
    return f"| `{row.name.rpartition('.')[2]}` | {row.unit} | {row.sentence} |"


# -- the schema

_TYPES = {
    Kind.TEXT: "string", Kind.FLAG: "boolean", Kind.SIZE: "integer", Kind.COUNT: "integer", Kind.STATE: "integer",
    Kind.RATIO: "number", Kind.QUANTILE: "number",
}  # fmt: skip


def schema(version: int) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report with that schema_version: whatever is not in it may be added later.

    Beside what JSON Schema knows, a figure has `x-unit`, and `x-better` (`more` or `less`) where one is good news.
    """
    area = _object("")
    area["properties"] |= {
        "bounds": {"type": "object", "additionalProperties": {"type": "array", "minItems": 2, "maxItems": 2}},
        "unknown": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    area["required"] += ["bounds", "unknown"]
    told = {"type": "object", "additionalProperties": {"type": "integer"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "swaptrace report",
        "type": "object",
        "required": ["schema_version", "trace", "losses", "missed", "not_told", "areas"],
        "properties": {
            "schema_version": {"const": version},
            "trace": {"type": "object"},
            "losses": told,
            "missed": told,
            "not_told": {"type": "array", "items": {"type": "string"}},
            "findings": {"type": "array", "items": _finding()},
            "areas": {"type": "array", "items": area},
            "by": _by(),
        },
        "$defs": {
            "integral": {
                "type": ["object", "null"],
                "required": list(INTEGRAL_PARTS),
                "properties": {
                    part: {"type": ["number", "null"], "description": sentence}
                    for part, sentence in INTEGRAL_PARTS.items()
                },
            }
        },
    }


def _finding() -> dict[str, Any]:
    """As swaptrace.findings.finding has it."""
    text, number = {"type": "string"}, {"type": ["number", "null"]}
    advice = {"sentence": text, "commands": {"type": "array", "items": text}, "cures": {"type": "boolean"}}
    fields = {
        "id": text,
        "severity": {"enum": [severity.name.lower() for severity in Severity]},
        "subject": text,
        "sentence": text,
        "evidence": {"type": "object", "additionalProperties": number},
        "advice": {"type": "array", "items": {"type": "object", "required": list(advice), "properties": advice}},
    }
    return {"type": "object", "required": list(fields), "properties": fields}


def _by() -> dict[str, Any]:
    """What --by adds."""
    figures = {
        row.name: {"type": ["number", "null"], "description": row.sentence, "x-unit": str(row.unit)}
        for row in ALL_OF_GROUPS
    }
    values = {"type": ["object", "null"], "properties": figures, "required": list(figures)}
    text = {"type": ["string", "null"]}
    named = {"type": "object", "properties": {"name": {"type": "string"}, "label": text, **figures, "tree": values}}
    group = {**named, "required": ["name", "label", *figures]}
    fields = {
        "dimension": {"enum": list(DIMENSIONS)},
        "sentence": {"type": "string"},
        "sort": {"enum": list(figures)},
        "groups": {"type": ["array", "null"], "items": group},
        "others": values,
        "total": values,
        "unknown": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def _object(group: str) -> dict[str, Any]:
    """Of a group of figures; every field is there unless its keys differ, or the group may be empty."""
    fields = {key: _object(f"{group}.{key}") if row is None else _property(row) for key, row in inside(group).items()}
    if any(key.isupper() for key in fields):
        (of_any_key,) = fields.values()
        return {"type": ["object", "null"], "additionalProperties": of_any_key}
    found: dict[str, Any] = {"type": ["object", "null"] if group else "object", "properties": fields}
    return found if group in _OPEN else {**found, "required": list(fields)}


#: Groups that may lack some of their fields.
_OPEN = {"kernel", "ramzswap", "swap_header"}


def _property(row: Figure) -> dict[str, Any]:
    by_kind: dict[Kind, Callable[[], dict[str, Any]]] = {
        Kind.INTEGRAL: lambda: {"$ref": "#/$defs/integral"},
        Kind.GROUP: lambda: _object(row.name),
        Kind.LIST: lambda: {"type": ["array", "null"], "items": _object(row.name)},
    }
    make = by_kind.get(row.kind, lambda: {"type": [_type(row), "null"]})
    return {**make(), **dict(_notes(row))}


def _type(row: Figure) -> str:
    return "number" if row.unit is Unit.SECONDS else _TYPES[row.kind]


def _notes(row: Figure) -> Iterable[tuple[str, str]]:
    if row.sentence:
        yield "description", row.sentence
    if row.unit is not Unit.NO:
        yield "x-unit", str(row.unit)
    if row.better is not Better.NEITHER:
        yield "x-better", row.better.name.lower()


def schema_text() -> str:
    return json.dumps(schema(SCHEMA_VERSION), indent=1) + "\n"


_COMMANDS = "<!-- commands -->\n"


def command_line(text: str) -> str:
    """docs/cli.md with the commands as they are now, below the line that says so."""
    return text.partition(_COMMANDS)[0] + _COMMANDS + "\n" + "\n".join(map(manual.markdown, manual.pages()))


def diff_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `swaptrace diff --format json` prints: whatever is not in it may be added."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | msgspec.json.schema(diff.Comparison)


def diff_schema_text() -> str:
    return json.dumps(diff_schema(), indent=1) + "\n"


if __name__ == "__main__":
    COMMAND_LINE.write_text(command_line(COMMAND_LINE.read_text(encoding="utf-8")), encoding="utf-8")
    for document in (DOCUMENT, DIFF_DOCUMENT):
        document.write_text(written(document.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    DIFF_SCHEMA.write_text(diff_schema_text(), encoding="utf-8")
    API.write_text(columns_written(API.read_text(encoding="utf-8")), encoding="utf-8")
