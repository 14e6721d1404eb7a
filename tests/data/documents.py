"""Write anew what the documents say of figures: run it after a change of the catalogue.

Usage: python -m tests.data.documents. tests/unit/test_catalogue.py compares.
"""

from __future__ import annotations

import json
from pathlib import Path

from swaptrace.report.as_json import SCHEMA_VERSION
from swaptrace.results.document import schema, written

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT, SCHEMA = DOCS / "report-json.md", DOCS / "report.schema.json"


def schema_text() -> str:
    return json.dumps(schema(SCHEMA_VERSION), indent=1) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
