"""What the way a series was made means for its numbers: warnings beside every level."""

from inference.ct.contrast import ContrastPhase, PhaseEstimate
from inference.ct.correction import CONTRAST_SHIFT_HU, KVP_FACTOR
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


def phase_notice(estimate: PhaseEstimate, header: str | None) -> Notice | None:
    """The warning beside every number of a scan that is not native; None for a native one. ``header`` is only mentioned."""
    said = f" The header says {header!r}." if header else ""
    if estimate.phase is ContrastPhase.NATIVE:
        return None
    if estimate.phase is ContrastPhase.UNKNOWN:
        text = f"Contrast phase not known ({estimate.because}). With contrast, bone reads up to about 25 HU too high.{said}"
        return Notice(code=WarningCode.CONTRAST_UNKNOWN, text=text)
    arterial = estimate.phase is ContrastPhase.ARTERIAL
    text = (
        f"{'Arterial' if arterial else 'Venous'} contrast phase ({estimate.because}): trabecular bone reads about "
        f"{CONTRAST_SHIFT_HU[estimate.phase]:.0f} HU higher than in a native scan, so the band may be too favourable.{said}"
    )
    return Notice(code=WarningCode.CONTRAST_ARTERIAL if arterial else WarningCode.CONTRAST_VENOUS, text=text)


def voltage_notice(kvp: float | None) -> Notice | None:
    """The warning about a tube voltage other than 120 kVp, or about a missing one."""
    if kvp is None:
        text = "Tube voltage not stated: the thresholds hold for 120 kVp, and other voltages shift the attenuation."
        return Notice(code=WarningCode.TUBE_VOLTAGE_MISSING, text=text)
    if abs(kvp - 120.0) < 0.5:
        return None
    factor = KVP_FACTOR.get(float(round(kvp)))
    if factor is None:
        effect = "there is no verified factor to the 120 kVp scale of the thresholds"
    else:
        effect = (
            f"bone reads about {abs(1 - factor) * 100:.0f} % too {'high' if factor < 1 else 'low'} on the 120 kVp scale of the thresholds"
        )
    return Notice(code=WarningCode.TUBE_VOLTAGE, text=f"Tube voltage {kvp:g} kVp: {effect}.")


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
