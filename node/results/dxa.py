"""A densitometry study in words: which image shows the AP spine, and whose the values are."""

from inference.dxa.findings import DxaFindings
from inference.findings import Findings
from node.results.wording import ascii_text


def dxa_lines(findings: Findings) -> list[str]:
    """What the text says of a densitometry study beside its headline; empty for any other study."""
    return [] if findings.dxa is None else [*device_lines(findings.dxa), image_line(findings.dxa)]


def measured_by(dxa: DxaFindings) -> str:
    """Whose the carried values are."""
    device = dxa.device.device if dxa.device is not None else ""
    return f"Measured by {device or 'the densitometer'}, not estimated by Osteon ({dxa.device_because})."


def image_line(dxa: DxaFindings, *, quoting: bool = True) -> str:
    """Which image is used, where L1 to L4 lie on it, and what made it.

    The header's descriptions are free text, which may name a person: a picture goes without them (``quoting``).
    """
    used = dxa.used
    if used is None or used.roi is None:
        return "No image of the study is used as an AP spine."
    top, left, bottom, right = used.roi.box
    certain = "levels certain" if used.roi.levels_certain else "levels not certain"
    discs = ", ".join(f"{row:.0f}" for row in used.roi.discs)
    device = "" if dxa.densitometer is None else f" Made by {dxa.densitometer.words}."
    place = f"L1 to L4 in rows {top} to {bottom - 1}, columns {left} to {right - 1} ({certain}), discs in rows {discs}"
    because = used.because if quoting else f"AP spine: {used.roi.because}."
    return ascii_text(f"{because} {place}. Scale: {used.scale}.{device}")


def device_lines(dxa: DxaFindings) -> list[str]:
    """The device's own values, level by level, with what the ISCD's rules leave out."""
    if dxa.device is None or dxa.patient is None:
        return [ascii_text(f"Values of the densitometer: none carried ({dxa.device_because}).")]
    lines = [
        f"Values of the densitometer, not of Osteon ({dxa.device_because}): {dxa.device_sentence or 'no value of two levels or more'}."
    ]
    for level in dxa.patient.levels:
        bmd = "BMD not stated" if level.bmd_g_cm2 is None else f"BMD {level.bmd_g_cm2:.3f} g/cm2"
        score = "T-score not stated" if level.t_score is None else f"T-score {level.t_score:.1f}"
        verdict = "used" if level.excluded_because is None else f"not used: {level.excluded_because.text}"
        lines.append(f"{level.level} (device): {bmd}, {score}; {verdict}")
    return [ascii_text(line) for line in (*lines, f"Patient level: {dxa.patient.because}.")]
