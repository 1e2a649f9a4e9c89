"""Images sorted into stacks: what one Series Instance UID holds may be several volumes."""

from collections.abc import Callable, Iterable, Sequence

from inference.ct.series.geometry import stack_geometry
from inference.errors import Refusal
from inference.reading import InstanceHeader

MIN_SLICES = 8
"""Fewer hold no vertebra at 5 mm."""


def stacks_of(headers: Iterable[InstanceHeader]) -> list[tuple[InstanceHeader, ...]]:
    """Images of one series that share matrix, pixel spacing, kernel and orientation (within half a degree)."""
    groups: dict[tuple[object, ...], list[list[InstanceHeader]]] = {}
    for header in headers:
        spacing = tuple(round(step, 4) for step in header.pixel_spacing_mm)
        key = (header.series_instance_uid, header.rows, header.columns, spacing, header.convolution_kernel)
        for group in groups.setdefault(key, []):
            if _same_orientation(group[0], header):
                group.append(header)
                break
        else:
            groups[key].append([header])
    return [tuple(group) for found in groups.values() for group in found]


def _same_orientation(one: InstanceHeader, other: InstanceHeader) -> bool:
    a, b = one.image_orientation, other.image_orientation
    return len(a) == len(b) and all(abs(x - y) < 0.01 for x, y in zip(a, b, strict=True))


def split_stack(stack: tuple[InstanceHeader, ...]) -> list[tuple[InstanceHeader, ...]]:
    """The stack, or its acquisitions where only these are regular stacks with one image at each position.

    Where positions repeat, slice thickness and runs of Instance Numbers may tell reconstructions and phases apart, too. A split counts
    only when it gives at least one regular stack.
    """
    try:
        geometry = stack_geometry(stack)
        repeats = geometry.has_duplicates
        if not repeats:
            return [stack]
    except Refusal:
        repeats = len({header.image_position for header in stack}) < len(stack)
    splits = [_split_by(stack, lambda header: header.acquisition_number), _split_by(stack, lambda header: header.acquisition_time)]
    if repeats:
        splits += [_split_by(stack, lambda header: header.slice_thickness_mm), _split_by_passes(stack)]
    for split in splits:
        if len(split) > 1 and any(len(part) >= MIN_SLICES and _is_clean(part) for part in split):
            return split
    return [stack]


def _is_clean(stack: Sequence[InstanceHeader]) -> bool:
    try:
        return not stack_geometry(stack).has_duplicates
    except Refusal:
        return False


def _split_by(stack: Sequence[InstanceHeader], key: Callable[[InstanceHeader], object]) -> list[tuple[InstanceHeader, ...]]:
    parts: dict[object, list[InstanceHeader]] = {}
    for header in stack:
        parts.setdefault(key(header), []).append(header)
    return [tuple(part) for part in parts.values()]


def _split_by_passes(stack: Sequence[InstanceHeader]) -> list[tuple[InstanceHeader, ...]]:
    """Runs of Instance Numbers in which no position repeats: several phases under one acquisition number.

    Single images sent twice make no phase: the runs must be of about equal length.
    """
    parts: list[list[InstanceHeader]] = [[]]
    seen: set[tuple[float, ...]] = set()
    for header in sorted(stack, key=lambda item: item.instance_number or 0):
        position = tuple(round(value, 2) for value in header.image_position)
        if position in seen:
            parts.append([])
            seen.clear()
        seen.add(position)
        parts[-1].append(header)
    whole = len(stack) >= 0.75 * len(parts) * max(len(part) for part in parts)
    return [tuple(part) for part in parts] if whole else [tuple(stack)]
