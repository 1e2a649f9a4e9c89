"""What PS3.3 asks of an IOD, read from the tables that highdicom carries.

Checked are types 1 and 2 of mandatory modules, and that no attribute belongs to no module. Conditions (1C, 2C) are not evaluated; the
content tree of an SR and the functional groups, whose macros are choices, are left to dciodvfy.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from pydicom.dataset import Dataset

_CHOICES = ("sr-document-content", "multi-frame-functional-groups")


def iod_problems(dataset: Dataset) -> list[str]:
    """Everything that contradicts the tables, in words; empty where nothing does."""
    modules = get_iod_module_map()[get_sop_class_iod_map()[str(dataset.SOPClassUID)]]
    attributes = get_module_attribute_map()
    allowed: set[str] = set()
    problems: set[str] = set()
    for module in modules:
        for attribute in attributes.get(module["key"], []):
            if not attribute["path"]:
                allowed.add(attribute["keyword"])
            if module["usage"] != "M" or any(choice in module["key"] for choice in _CHOICES):
                continue
            problems |= {f"{module['key']}: {problem}" for problem in _attribute_problems(dataset, attribute)}
    stray = [e.keyword for e in dataset if not e.tag.is_private and e.keyword and e.keyword not in allowed]
    return sorted(problems) + [f"in no module: {keyword}" for keyword in stray]


def _attribute_problems(dataset: Dataset, attribute: dict[str, Any]) -> Iterator[str]:
    keyword, kind = attribute["keyword"], attribute["type"]
    if kind not in ("1", "2"):
        return
    for item in _items(dataset, attribute["path"]):
        if keyword not in item:
            yield f"type {kind} {keyword} is missing"
        elif kind == "1" and item[keyword].VR != "SQ" and item[keyword].is_empty:
            yield f"type 1 {keyword} is empty"


def _items(dataset: Dataset, path: Sequence[str]) -> Iterator[Dataset]:
    if not path:
        yield dataset
    elif path[0] in dataset:
        for item in dataset[path[0]].value or []:
            yield from _items(item, path[1:])
