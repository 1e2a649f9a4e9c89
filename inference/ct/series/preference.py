"""Which of several measurable series is best for trabecular attenuation (clinical.md: soft kernel, native, 120 kVp, 1 to 3 mm)."""

from collections.abc import Iterator, Sequence

from inference.ct.series.geometry import StackGeometry
from inference.ct.series.words import KernelKind, header_says_contrast, kernel_kind, names_lumbar_region
from inference.reading import InstanceHeader

_KERNEL_PENALTY = {KernelKind.SOFT: 0.0, KernelKind.NEUTRAL: 1.0, KernelKind.SHARP: 4.0}
_CONTRAST_PENALTY = {False: 0.0, None: 0.5, True: 1.5}


def weigh(headers: Sequence[InstanceHeader], geometry: StackGeometry) -> tuple[float, str]:
    """The sum of penalties of one stack, and what it is made of, in words.

    Short stacks weigh most: a series that does not hold L1 cannot be measured at all. A sharp kernel (noise, edge enhancement) weighs
    more than contrast medium, which is detected and said; thickness and tube voltage weigh least.
    """
    parts = tuple(_weights(headers[0], geometry))
    return round(sum(penalty for penalty, _ in parts), 3), "; ".join(text for _, text in parts)


def _weights(first: InstanceHeader, geometry: StackGeometry) -> Iterator[tuple[float, str]]:
    kind = kernel_kind(first.convolution_kernel)
    name = first.convolution_kernel.replace("\\", " ")
    yield _KERNEL_PENALTY[kind], f"{kind} kernel {name}" if name else "kernel not stated"
    contrast = header_says_contrast(first)
    words = {False: "native by its header", None: "contrast not stated", True: "contrast by its header"}
    yield _CONTRAST_PENALTY[contrast], words[contrast]
    yield _spacing_penalty(geometry.spacing_mm), f"{geometry.spacing_mm:.2f} mm spacing"
    covered = geometry.coverage_mm
    yield (5.0 if covered < 80 else 2.0 if covered < 180 else 0.0), f"{covered:.0f} mm covered"
    if not names_lumbar_region(first):
        yield 0.5, "no region with L1 named"
    if first.kvp is None or abs(first.kvp - 120) > 0.5:
        yield (0.25, "tube voltage not stated") if first.kvp is None else (0.75, f"{first.kvp:g} kVp")
    if geometry.tilt_deg:
        yield 1.0, f"tilted by {geometry.tilt_deg:.1f} degrees"
    if first.lossy_image_compression == "01":
        yield 1.0, "compressed with loss"
    if "SECONDARY" in first.image_type[1:2]:
        yield 0.25, "not a primary image by its header"


def _spacing_penalty(spacing_mm: float) -> float:
    """0 from 1 to 3 mm, more for thinner (noise, time) and much more for thicker slices (partial volume)."""
    if spacing_mm > 5.0:
        return 6.0
    if spacing_mm > 3.0:
        return 0.75 * (spacing_mm - 3.0) + 0.5
    return 0.0 if spacing_mm >= 1.0 else 0.25
