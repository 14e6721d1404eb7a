"""The audit as JSON: one object, stable, described in docs/audit.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from swaptrace.audit.audit import Audit
from swaptrace.audit.evidence import AreaEvidence, StoreEvidence
from swaptrace.machine.stack import walk

SCHEMA_VERSION = 1  # grows when a field changes its meaning or goes away, not when one is added


def as_json(audit: Audit) -> dict[str, Any]:
    """The whole audit, ready for json.dumps(..., allow_nan=False)."""
    evidence = audit.evidence
    return {
        "schema_version": SCHEMA_VERSION,
        "clean": audit.clean,
        "traced_s": evidence.seconds,
        "memory_bytes": evidence.memory_bytes,
        "available_bytes": evidence.available_bytes,
        "areas": [_area(area) for area in evidence.areas],
        "stores": [_store(store) for store in evidence.stores],
        "zswap": asdict(evidence.zswap),
        "findings": [finding.as_json() for finding in audit.findings],
        "notes": list(evidence.notes),
    }


def _area(area: AreaEvidence) -> dict[str, Any]:
    return {
        "path": area.path,
        "kind": area.kind,
        "slots": area.pages,
        "slots_in_use": area.used,
        "priority": area.priority,
        "notified": area.notified,
        "layers": [
            {"depth": depth, "kind": layer.kind, "name": layer.name, **layer.facts} for depth, layer in walk(area.top)
        ],
        "stores": list(area.stores),
        "entries": area.entries,
        "in_use": asdict(area.in_use) if area.in_use else None,
        "stale_entries": area.stale,
        "stale_entries_at_least": area.stale_at_least,
        "stale_compr_bytes_about": area.stale_bytes,
        "not_told": area.not_told or None,
        "traced": asdict(area.observed) if area.observed else None,
    }


def _store(store: StoreEvidence) -> dict[str, Any]:
    return {
        "name": store.store.name,
        "pages": store.store.pages,
        "algorithm": store.store.algorithm,
        "counters": dict(store.store.counters),
        "table_bytes": store.store.table_bytes,
        "users": list(store.users),
        "areas": list(store.areas),
        "mounts": [{"mount_point": found.point, "free_bytes": free} for found, free in store.mounts],
        "holders": list(store.holders),
    }
