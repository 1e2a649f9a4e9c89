"""What the results say, in words and with the digits that the error allows: one wording for the page, the text and the SR.

All text here is ASCII: it must be encodable in whatever character set the source declares.
"""

import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inference.findings import (
    RESEARCH_NOTICE,
    Acquisition,
    Correction,
    Findings,
    Notice,
    Reason,
    RoiKind,
    RoiMeasurement,
    VertebraFinding,
)
from inference.rounding import round_hu
from node.results.objects import ResultContext
from node.results.roles import role_of

if TYPE_CHECKING:
    pass

ROI_NAME: Final = {RoiKind.CORE: "core", RoiKind.ELLIPSE: "ellipse"}
ABSENT: Final = "-"

_REPLACEMENTS: Final = {"≤": "<=", "≥": ">=", "±": "+/-", "×": "x", "–": "-", "—": "-", "−": "-", "²": "2", "³": "3", "°": " deg", "µ": "u"}


@dataclass(frozen=True, kw_only=True)
class LevelLine:
    """One body as text. ``core`` and ``ellipse`` are mean, median and SD in HU, ``heights`` anterior, middle, posterior in mm."""

    name: str
    short_name: str
    core: tuple[str, str, str]
    ellipse: tuple[str, str, str]
    heights: tuple[str, str, str]
    used: bool
    verdict: str
    warnings: tuple[str, ...]


def ascii_text(text: str) -> str:
    """``text`` with everything outside ASCII replaced by its nearest spelling, and control characters by spaces."""
    for symbol, spelling in _REPLACEMENTS.items():
        text = text.replace(symbol, spelling)
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(c if c.isascii() else ("" if unicodedata.combining(c) else "?") for c in plain)
    return "".join(c if c.isprintable() else " " for c in kept)


def one_decimal(value: float) -> float:
    """A length in mm or a density with one decimal, halves upward."""
    return math.floor(value * 10 + 0.5) / 10


def level_name(vertebra: VertebraFinding) -> str:
    """``L1``; ``L1, level uncertain``; ``vertebral body 3, level uncertain``."""
    if vertebra.level is None:
        return f"vertebral body {vertebra.label}, level uncertain"
    return vertebra.level if vertebra.level_certain else f"{vertebra.level}, level uncertain"


def short_level_name(vertebra: VertebraFinding) -> str:
    """``L1``, ``L1?`` or ``body 3``, for the pictures."""
    if vertebra.level is None:
        return f"body {vertebra.label}"
    return vertebra.level if vertebra.level_certain else f"{vertebra.level}?"


def reported_vertebra(findings: Findings) -> VertebraFinding | None:
    """The body that carries the band, or None."""
    if findings.summary is None or findings.summary.level is None:
        return None
    return next((v for v in findings.vertebrae if v.level == findings.summary.level), None)


def reported_statistic(findings: Findings) -> str | None:
    """``"median"`` or ``"mean"``: which number of the reported region the summary repeats. None where no level carries a band."""
    if findings.summary is None or findings.summary.level is None:
        return None
    return findings.summary.statistic


def shown_statistic(findings: Findings) -> tuple[RoiKind, str]:
    """Region and statistic that stand for a body where there is room for one number: those of the summary, else the core's median."""
    kind = findings.summary.roi_kind if findings.summary is not None else RoiKind.CORE
    return kind, reported_statistic(findings) or "median"


def shown_attenuation(vertebra: VertebraFinding, findings: Findings) -> int | None:
    """The one number of a body, in HU; None where it was not measured."""
    kind, statistic = shown_statistic(findings)
    roi = vertebra.roi(kind)
    if roi is None:
        return None
    return round_hu(roi.attenuation.mean_hu if statistic == "mean" else roi.attenuation.median_hu)


def threshold_lines(findings: Findings) -> list[str]:
    """Every threshold with its name and source, low edge first; none where no band is reported, for nothing may be held against them."""
    summary = findings.summary
    if findings.reason is not None or summary is None or summary.band is None:
        return []
    ordered = sorted(summary.thresholds, key=lambda t: t.hu)
    return [ascii_text(f"{t.name}: at or below {round_hu(t.hu)} HU ({t.source})") for t in ordered]


def correction_line(correction: Correction) -> str:
    """A corrected value, labelled as such and beside the measured one."""
    return ascii_text(
        f"{correction.name}: measured {round_hu(correction.measured_hu)} HU, corrected {round_hu(correction.corrected_hu)} HU"
        f" ({correction.source}). Shown for comparison; the band uses the measured value."
    )


def correction_lines(findings: Findings) -> list[str]:
    """What was corrected, or that nothing was; none where no band is reported."""
    summary = findings.summary
    if findings.reason is not None or summary is None or summary.band is None:
        return []
    return [correction_line(c) for c in summary.corrections] or ["No correction was applied."]


def reason_text(reason: Reason) -> str:
    """Code and sentence of a refusal or an exclusion."""
    return ascii_text(f"{reason.code}: {reason.text}")


def notice_text(notice: Notice) -> str:
    """Code and sentence of a warning."""
    return ascii_text(f"{notice.code}: {notice.text}")


def level_line(vertebra: VertebraFinding, findings: Findings) -> LevelLine:
    """One body for a table."""
    carries = findings.summary is not None and findings.summary.band is not None and reported_vertebra(findings) is vertebra
    if vertebra.excluded_because is not None:
        verdict = f"EXCLUDED. {reason_text(vertebra.excluded_because)}"
    elif not vertebra.used:
        verdict = "not used"
    else:
        verdict = "used, carries the band" if carries else "used"
    heights = vertebra.heights
    return LevelLine(
        name=level_name(vertebra),
        short_name=short_level_name(vertebra),
        core=_statistics(vertebra.roi(RoiKind.CORE)),
        ellipse=_statistics(vertebra.roi(RoiKind.ELLIPSE)),
        heights=(ABSENT,) * 3 if heights is None else (_mm(heights.anterior_mm), _mm(heights.middle_mm), _mm(heights.posterior_mm)),
        used=vertebra.used,
        verdict=verdict,
        warnings=tuple(notice_text(notice) for notice in vertebra.warnings),
    )


def level_sentence(vertebra: VertebraFinding, findings: Findings) -> str:
    """One body as one line of text."""
    line = level_line(vertebra, findings)
    parts = []
    for kind, values in ((RoiKind.CORE, line.core), (RoiKind.ELLIPSE, line.ellipse)):
        roi = vertebra.roi(kind)
        if roi is not None:
            density = f", {density_text(roi)}" if roi.vbmd_mg_cm3 is not None else ""
            parts.append(f"{ROI_NAME[kind]} mean {values[0]}, median {values[1]}, SD {values[2]} HU{density}")
    if not parts:
        parts.append("attenuation not measured")
    if vertebra.heights is not None:
        parts.append(f"heights anterior/middle/posterior {'/'.join(line.heights)} mm")
    return " | ".join([f"{line.name}: {line.verdict}", *parts, *(f"WARNING {w}" for w in line.warnings)])


def density_text(roi: RoiMeasurement) -> str:
    """A calibrated density with its phantom, a quantity of its own: ``vBMD 101 mg/cm3 (K2HPO4, phantom of 2026-01-02)``."""
    if roi.vbmd_mg_cm3 is None:
        return "no vBMD: no calibration for this scanner and tube voltage"
    return ascii_text(f"vBMD {round_hu(roi.vbmd_mg_cm3)} mg/cm3 ({roi.vbmd_calibration or 'calibration not named'})")


def density_lines(findings: Findings) -> list[str]:
    """Calibrated densities of all bodies, one line per region; none without a calibration."""
    lines = []
    for kind in RoiKind:
        measured = [(v, roi) for v in findings.vertebrae if (roi := v.roi(kind)) is not None and roi.vbmd_mg_cm3 is not None]
        if measured:
            values = ", ".join(f"{short_level_name(v)} {round_hu(roi.vbmd_mg_cm3 or 0.0)}" for v, roi in measured)
            calibration = measured[0][1].vbmd_calibration or "calibration not named"
            lines.append(ascii_text(f"vBMD of the {ROI_NAME[kind]}, mg/cm3: {values} ({calibration}). Not a DXA value."))
    return lines


def acquisition_text(acquisition: Acquisition, *, with_description: bool = True) -> str:
    """How the measured series was made; what the header does not say is said to be missing.

    The series' description is free text, which may name a person: a picture goes without it.
    """
    scanner = " ".join(x for x in (acquisition.manufacturer, acquisition.model_name) if x) or "scanner not stated"
    kvp = f"{acquisition.kvp:g} kVp" if acquisition.kvp is not None else "tube voltage not stated"
    kernel = f"kernel {acquisition.convolution_kernel}" if acquisition.convolution_kernel else "kernel not stated"
    thickness = f"{acquisition.slice_thickness_mm:.1f} mm thick" if acquisition.slice_thickness_mm is not None else "thickness not stated"
    pixel = f"pixel {acquisition.pixel_spacing_mm[0]:.2f} x {acquisition.pixel_spacing_mm[1]:.2f} mm"
    slices = f"{acquisition.slices} slices every {acquisition.slice_spacing_mm:.1f} mm, {thickness}"
    because = f" ({acquisition.contrast_because})" if acquisition.contrast_because else ""
    header = f"header: {acquisition.contrast_header}" if acquisition.contrast_header else "header: none stated"
    contrast = f"contrast phase by image: {acquisition.contrast_phase}{because}, {header}"
    parts = [scanner, kvp, kernel, slices, pixel, contrast]
    if with_description:
        parts.append(f"series: {acquisition.series_description}" if acquisition.series_description else "series without description")
    return ascii_text("; ".join(parts))


def provenance_lines(findings: Findings, context: ResultContext) -> list[str]:
    """Software, algorithms and configuration, with their hashes."""
    lines = [f"Osteon {context.software_version}, configuration sha256 {context.config_sha256}"]
    lines += [f"{role_of(m, findings)} {m.name} {m.version}, sha256 {m.sha256}, trained on: {m.trained_on}" for m in findings.models]
    return [ascii_text(line) for line in lines]


def skipped_lines(findings: Findings, limit: int = 20) -> list[str]:
    """What was not used and why, equal reasons gathered; file names stay out (they may name the patient)."""
    counts: dict[str, int] = {}
    for skipped in findings.skipped:
        series = f"{skipped.path}: " if skipped.path.startswith("series ") else ""
        key = f"{series}{reason_text(skipped.reason)}"
        counts[key] = counts.get(key, 0) + 1
    lines = [f"{count} x {key}" if count > 1 else ascii_text(key) for key, count in counts.items()]
    return lines[:limit] + ([f"and {len(lines) - limit} more reasons"] if len(lines) > limit else [])


def research_notice() -> str:
    """The fixed notice."""
    return RESEARCH_NOTICE


def _statistics(roi: RoiMeasurement | None) -> tuple[str, str, str]:
    if roi is None:
        return (ABSENT, ABSENT, ABSENT)
    a = roi.attenuation
    return (str(round_hu(a.mean_hu)), str(round_hu(a.median_hu)), str(round_hu(a.sd_hu)))


def _mm(value: float) -> str:
    return f"{one_decimal(value):.1f}"
