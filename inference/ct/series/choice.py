"""Which series of a CT study is measured, and why each other one is not."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from inference.ct.series.geometry import StackGeometry, plane_axes, stack_geometry
from inference.ct.series.preference import weigh
from inference.ct.series.stacks import MIN_SLICES, split_stack, stacks_of
from inference.ct.series.words import derived_word, localizer_word, other_body_part
from inference.errors import ReasonCode, Refusal
from inference.findings import Reason, SkippedFile
from inference.reading import InstanceHeader

MIN_COVERAGE_MM = 25.0
"""The height of one vertebral body."""
AXIAL_WITHIN_DEG = 30.0
_LISTED = 5

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_MULTIFRAME_CT = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True, kw_only=True)
class CandidateSeries:
    """A stack of CT images that can be measured.

    Attributes
    ----------
    headers
        Its instances, as they came.
    preference
        In words, what speaks for and against it.
    penalty
        The sum of what speaks against it; the lowest is best.
    """

    headers: tuple[InstanceHeader, ...]
    geometry: StackGeometry
    preference: str
    penalty: float

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID; two candidates may share it (two acquisitions in one series)."""
        return self.headers[0].series_instance_uid

    @property
    def title(self) -> str:
        """The series as a person would name it."""
        return _title(self.headers)


@dataclass(frozen=True, kw_only=True)
class SeriesChoice:
    """Candidates, best first, and a reason for everything that is none."""

    candidates: tuple[CandidateSeries, ...]
    skipped: tuple[SkippedFile, ...]

    def not_chosen(self, used: CandidateSeries) -> tuple[SkippedFile, ...]:
        """The other candidates, with why ``used`` was preferred to them."""
        return tuple(
            SkippedFile(
                path=f"series {other.series_instance_uid}",
                reason=Reason(
                    code=ReasonCode.OTHER_SERIES_PREFERRED,
                    text=f"{used.title} was preferred ({used.preference}) to {other.title} ({other.preference}).",
                ),
            )
            for other in self.candidates
            if other is not used
        )

    def refusal(self) -> Refusal:
        """Why nothing can be measured: the reason of the one series that came nearest, or ``NO_SUITABLE_SERIES`` with every reason."""
        reasons = [item.reason for item in self.skipped]
        nearest = [reason for reason in reasons if reason.code in _NEARLY]
        if nearest and len({reason.code for reason in nearest}) == 1:
            return Refusal(nearest[0].code, " ".join(dict.fromkeys(reason.text for reason in nearest)))
        if reasons and len({reason.code for reason in reasons}) == 1:
            return Refusal(reasons[0].code, reasons[0].text)
        listed = [f"{reason.code}: {reason.text}" for reason in dict.fromkeys(nearest or reasons)]
        more = f" And {len(listed) - _LISTED} more." if len(listed) > _LISTED else ""
        return Refusal(ReasonCode.NO_SUITABLE_SERIES, f"No series can be measured. {' '.join(listed[:_LISTED])}{more}".strip())


_NEARLY = frozenset(
    {
        ReasonCode.WRONG_BODY_PART,
        ReasonCode.NOT_AXIAL,
        ReasonCode.TOO_FEW_SLICES,
        ReasonCode.NOT_A_VOLUME,
        ReasonCode.SPACING_MISSING,
        ReasonCode.ORIENTATION_MISSING,
        ReasonCode.IRREGULAR_SPACING,
        ReasonCode.MISSING_SLICES,
        ReasonCode.DUPLICATE_POSITIONS,
        ReasonCode.GANTRY_TILT,
        ReasonCode.RESCALE_MISSING,
        ReasonCode.MULTIFRAME_NOT_READ,
    }
)
"""Reasons of images that were at least CT slices as reconstructed; localizers and captures beside them explain nothing."""


def choose_series(headers: Sequence[InstanceHeader]) -> SeriesChoice:
    """Sort the instances of one study into candidate series, best first, and skipped ones with their reasons.

    Series are split by matrix, pixel spacing, orientation and kernel, and by acquisition where positions repeat or leave gaps.
    """
    skipped: list[tuple[InstanceHeader, Reason]] = []
    slices: list[InstanceHeader] = []
    for header in headers:
        reason = why_no_slice(header)
        if reason is None:
            slices.append(header)
        else:
            skipped.append((header, reason))
    candidates: list[CandidateSeries] = []
    for stack in stacks_of(slices):
        for part in split_stack(stack):
            result = _candidate(part)
            if isinstance(result, CandidateSeries):
                candidates.append(result)
            else:
                skipped.extend((header, result) for header in part)
    candidates.sort(
        key=lambda c: (c.penalty, -c.geometry.coverage_mm, -len(c.headers), c.headers[0].series_number or 0, c.series_instance_uid)
    )
    return SeriesChoice(candidates=tuple(candidates), skipped=_by_series(headers, skipped))


def why_no_slice(header: InstanceHeader) -> Reason | None:
    """Why this instance is no CT slice as reconstructed, or None."""
    if header.rows is None or header.columns is None:
        return Reason(code=ReasonCode.NOT_AN_IMAGE, text=f"{header.modality} object without an image matrix.")
    if header.modality != "CT":
        return Reason(code=ReasonCode.WRONG_MODALITY, text=f"Modality is {header.modality}, not CT.")
    if header.sop_class_uid in _MULTIFRAME_CT:
        return Reason(
            code=ReasonCode.MULTIFRAME_NOT_READ, text="Enhanced (multi-frame) CT is not read; send the classic single-frame series."
        )
    if header.sop_class_uid != CT_IMAGE:
        kind = "secondary capture" if header.sop_class_uid.startswith(_SECONDARY_CAPTURE) else f"SOP class {header.sop_class_uid}"
        return Reason(code=ReasonCode.DERIVED_IMAGE, text=f"No CT Image Storage but {kind}.")
    localizer = localizer_word(header)
    if localizer:
        return Reason(code=ReasonCode.LOCALIZER, text=f"Localizer ({localizer}).")
    return _why_derived(header)


def _why_derived(header: InstanceHeader) -> Reason | None:
    word = derived_word(header)
    if word:
        return Reason(code=ReasonCode.DERIVED_IMAGE, text=f"Derived image ({word}): no attenuation as reconstructed.")
    lossy = header.lossy_image_compression == "01"
    if header.image_type[:1] == ("DERIVED",) and not (lossy and header.image_type[1:2] == ("PRIMARY",)):
        return Reason(code=ReasonCode.DERIVED_IMAGE, text="Image Type is " + "\\".join(header.image_type) + ".")
    if header.rescale_type not in ("", "HU", "US"):
        return Reason(code=ReasonCode.DERIVED_IMAGE, text=f"Rescale Type is {header.rescale_type}, not HU.")
    if (header.number_of_frames or 1) > 1:
        return Reason(code=ReasonCode.MULTIFRAME_NOT_READ, text=f"{header.number_of_frames} frames in one CT Image.")
    return None


def _candidate(stack: tuple[InstanceHeader, ...]) -> CandidateSeries | Reason:
    """The stack as a candidate, or the reason against it: facts of geometry before words of the header."""
    few = f"Only {len(stack)} slice(s)." if len(stack) < MIN_SLICES else ""
    try:
        axes = plane_axes(stack[0].image_orientation)
        if abs(axes[2][2]) < math.cos(math.radians(AXIAL_WITHIN_DEG)):
            return Reason(code=ReasonCode.NOT_AXIAL, text=f"{_title(stack)} is not axial.")
        if len(stack) == 1:
            return Reason(code=ReasonCode.TOO_FEW_SLICES, text=f"{_title(stack)}: {few}")
        geometry = stack_geometry(stack)
    except Refusal as refusal:
        return Reason(code=refusal.code, text=f"{_title(stack)}: {refusal.text} {few}".rstrip())
    if few and geometry.tilt_deg:
        text = f"{_title(stack)}: the gantry was tilted by {geometry.tilt_deg:.1f} degrees; too few slices to resample upright. {few}"
        return Reason(code=ReasonCode.GANTRY_TILT, text=text)
    if few or geometry.coverage_mm < MIN_COVERAGE_MM:
        text = f"{_title(stack)}: {len(stack)} slice(s) cover {geometry.coverage_mm:.0f} mm, too little to hold a vertebra."
        return Reason(code=ReasonCode.TOO_FEW_SLICES, text=text)
    without = sum(header.rescale_slope is None or header.rescale_intercept is None for header in stack)
    if without:
        return Reason(code=ReasonCode.RESCALE_MISSING, text=f"{_title(stack)}: no Rescale Slope and Intercept in {without} slice(s).")
    part = other_body_part(stack[0])
    if part:
        return Reason(code=ReasonCode.WRONG_BODY_PART, text=f"{_title(stack)}: the header names {part}, which holds no lumbar spine.")
    penalty, preference = weigh(stack, geometry)
    return CandidateSeries(headers=stack, geometry=geometry, preference=preference, penalty=penalty)


def _title(headers: Sequence[InstanceHeader]) -> str:
    first = headers[0]
    number = f"series {first.series_number}" if first.series_number is not None else "series without a number"
    return f"{number} {first.series_description!r}" if first.series_description else number


def _by_series(headers: Sequence[InstanceHeader], skipped: Sequence[tuple[InstanceHeader, Reason]]) -> tuple[SkippedFile, ...]:
    """One entry for a series dropped whole for one reason, else one for each file, in the order of the study."""
    sizes = Counter(header.series_instance_uid for header in headers)
    dropped = Counter((header.series_instance_uid, reason) for header, reason in skipped)
    found: dict[tuple[str, Reason], SkippedFile] = {}
    for header, reason in skipped:
        series = header.series_instance_uid
        whole = dropped[series, reason] == sizes[series]
        path = f"series {series}" if whole or header.path is None else str(header.path)
        found[path, reason] = SkippedFile(path=path, reason=reason)
    return tuple(found.values())
