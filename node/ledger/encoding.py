"""Frozen dataclasses to JSON values and back. Arrays and images stay out of the ledger; a number that is not finite becomes null."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from inference.errors import ReasonCode
from inference.findings import Reason
from inference.reading import InstanceHeader
from node.ledger.schema import clean_text
from node.routing import Considered, Decision


def plain(value: Any) -> Any:
    """JSON value of plain data: dataclasses, mappings, sequences, enums, paths, numbers.

    Raises
    ------
    TypeError
        For anything else, so that an image is never written by accident.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str | Path):
        return clean_text(str(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} does not belong in the ledger")


def header_to_json(header: InstanceHeader) -> dict[str, Any]:
    """The header without its path, which is a column of its own."""
    return {field.name: plain(getattr(header, field.name)) for field in fields(header) if field.name != "path"}


def decision_from_json(values: Mapping[str, Any]) -> Decision:
    """The decision back."""
    reason = values["reason"]
    return Decision(
        study_instance_uid=values["study_instance_uid"],
        route=values["route"],
        workflow=values["workflow"],
        destinations=tuple(values["destinations"]),
        on_refusal=values["on_refusal"],
        considered=tuple(Considered(**item) for item in values["considered"]),
        reason=None if reason is None else Reason(code=ReasonCode(reason["code"]), text=reason["text"]),
    )
