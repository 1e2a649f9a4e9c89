"""What a safetensors file says it holds, read without torch: an 8-byte header length, a JSON header, then the numbers.

Format: https://github.com/huggingface/safetensors#format. Nothing in it can run.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.bundles.errors import BundleError

MAX_HEADER_BYTES = 4 << 20
MAX_AXES = 8

ITEM_BYTES: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
"""The types that a bundle's tensors may have."""
FLOATING: Mapping[str, type[np.floating]] = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


def is_statistic(name: str) -> bool:
    """Whether a tensor holds running statistics of a normalisation: few numbers, which may lie beyond float16 and stay float32."""
    return name.endswith((".running_mean", ".running_var"))


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One tensor of the file: its type, shape, and where its bytes lie behind the header."""

    dtype: str
    shape: tuple[int, ...]
    offsets: tuple[int, int]

    @property
    def count(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


def read_specs(path: Path) -> dict[str, TensorSpec]:
    """The header, checked against the size of the file.

    Raises
    ------
    BundleError
        Cut off, an oversize header, tensors that overlap or leave gaps, or a type that weights do not have.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise BundleError(f"{path.name}: not a safetensors file, or cut off within its header")
        header = file.read(length)
    try:
        content = json.loads(header)
    except (ValueError, RecursionError):
        raise BundleError(f"{path.name}: the header is not JSON; this is no safetensors file") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path.name}: the header is no JSON object")
    specs = {name: _spec(name, value) for name, value in content.items() if name != "__metadata__"}
    _check_filled(specs, size - 8 - length, path.name)
    return specs


def check_finite(path: Path, specs: Mapping[str, TensorSpec]) -> None:
    """Refuse weights that hold NaN or infinity: a network with one gives nonsense without saying so.

    Raises
    ------
    BundleError
        Naming the tensor.
    """
    content = np.memmap(path, dtype=np.uint8, mode="r")
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    for name, spec in specs.items():
        kind = FLOATING.get(spec.dtype)
        if kind is None or spec.count == 0:
            continue
        numbers = content[start + spec.offsets[0] : start + spec.offsets[1]].view(kind)
        if not np.isfinite(numbers).all():
            raise BundleError(f"{path.name}: the tensor {name} holds NaN or infinity")


def count_parameters(specs: Mapping[str, TensorSpec]) -> int:
    """How many numbers the floating-point tensors hold."""
    return sum(spec.count for spec in specs.values() if spec.dtype in FLOATING)


def _spec(name: str, value: object) -> TensorSpec:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise BundleError(f"the tensor {name}: the header must give dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if dtype not in ITEM_BYTES:
        raise BundleError(f"the tensor {name}: type {str(dtype)[:16]!r}; allowed: {', '.join(ITEM_BYTES)}")
    if not _naturals(shape) or len(shape) > MAX_AXES or not _naturals(offsets) or len(offsets) != 2:
        raise BundleError(f"the tensor {name}: shape or data_offsets are not lists of whole numbers")
    spec = TensorSpec(dtype=dtype, shape=tuple(shape), offsets=(offsets[0], offsets[1]))
    if offsets[1] - offsets[0] != spec.count * ITEM_BYTES[dtype]:
        raise BundleError(f"the tensor {name}: shape {shape} does not fill its bytes")
    return spec


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 40 for item in value)


def _check_filled(specs: Mapping[str, TensorSpec], size: int, name: str) -> None:
    end = 0
    for tensor, spec in sorted(specs.items(), key=lambda item: item[1].offsets):
        if spec.offsets[0] != end:
            raise BundleError(f"{name}: the tensor {tensor} overlaps another or leaves a gap")
        end = spec.offsets[1]
    if end != size:
        raise BundleError(f"{name}: {size} bytes of numbers, the header tells of {end}: cut off or added to")
