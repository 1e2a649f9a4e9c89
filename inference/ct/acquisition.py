"""What the way a series was made means for its numbers: warnings beside every level."""

from inference.ct.contrast import PhaseEstimate, phase_notice, voltage_notice
from inference.ct.options import CtOptions
from inference.ct.series.words import KernelKind, kernel_kind
from inference.errors import WarningCode
from inference.findings import Acquisition, Notice


def acquisition_notices(acquisition: Acquisition, estimate: PhaseEstimate, options: CtOptions) -> tuple[Notice, ...]:
    """Warnings about contrast, tube voltage, kernel and slice spacing."""
    notices = (
        phase_notice(estimate, acquisition.contrast_header),
        voltage_notice(acquisition.kvp),
        kernel_notice(acquisition.convolution_kernel),
        slices_notice(acquisition.slice_spacing_mm, options.warn_slice_spacing_mm),
    )
    return tuple(notice for notice in notices if notice is not None)


def kernel_notice(kernel: str | None) -> Notice | None:
    """A warning about an edge-enhancing kernel: noise and overshoot at the cortex widen the spread of the region."""
    if not kernel or kernel_kind(kernel) is not KernelKind.SHARP:
        return None
    text = f"Sharp convolution kernel ({kernel.replace(chr(92), ', ')}): more noise and overshoot beside cortex."
    return Notice(code=WarningCode.SHARP_KERNEL, text=text)


def slices_notice(spacing_mm: float, warn_above_mm: float) -> Notice | None:
    """A warning about slices further apart than ``warn_above_mm``: endplates and cortex leak into the body."""
    if spacing_mm <= warn_above_mm + 0.01:
        return None
    text = f"Slices are {spacing_mm:.1f} mm apart (more than {warn_above_mm:g} mm): endplates blur into the body."
    return Notice(code=WarningCode.THICK_SLICES, text=text)
