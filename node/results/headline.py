"""The first line of everything that is written of a study: the answer in one line, one sentence to it, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inference.ct.opinions import OpinionSource
from inference.findings import Band, DensityClass, Findings, Threshold
from inference.rounding import round_hu
from node.results.wording import ROI_NAME, ascii_text, level_name, reported_statistic, reported_vertebra

if TYPE_CHECKING:
    from inference.cxr.findings import CxrMeasurement

BAND_NAME: Final = {Band.LOW: "LOW ATTENUATION", Band.INTERMEDIATE: "BETWEEN THE THRESHOLDS", Band.ABOVE: "ABOVE BOTH THRESHOLDS"}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The answer, first. ``title`` alone must be understood; ``detail`` says what it rests on."""

    title: str
    detail: str


def headline(findings: Findings) -> Headline:
    """The first line of everything: value and band, or why there is none."""
    if findings.reason is not None:
        title = "NO BAND REPORTED" if findings.vertebrae else "NOT MEASURED"
        return Headline(title=f"{title}: {findings.reason.code}", detail=ascii_text(findings.reason.text))
    if findings.dxa is not None and findings.dxa.device_sentence is not None:
        return Headline(title="VALUES OF THE DENSITOMETER", detail=ascii_text(f"{findings.dxa.device_sentence}."))
    if findings.cxr is not None and findings.cxr.measurement is not None:
        return _estimated_headline(findings.cxr.measurement)
    if findings.dxa is not None and findings.density_class is not None:
        return _predicted_headline(findings.density_class)
    summary = findings.summary
    if summary is None or summary.attenuation_hu is None or summary.band is None:
        return Headline(title="NO BAND REPORTED", detail="No level may carry a band.")
    level = reported_vertebra(findings)
    name = level_name(level) if level is not None else str(summary.level)
    statistic = reported_statistic(findings)
    what = f"{statistic} attenuation" if statistic else "attenuation"
    value = f"{name}: {round_hu(summary.attenuation_hu)} HU"
    detail = f"{what[0].upper()}{what[1:]} of the trabecular {ROI_NAME[summary.roi_kind]}; {band_range(summary.band, summary.thresholds)}."
    measured = Headline(title=f"{value} - {BAND_NAME[summary.band]}", detail=detail)
    return _led_headline(findings, measured) or measured


def _led_headline(findings: Findings, measured: Headline) -> Headline | None:
    """A model's opinion before the measured one, where the site lets it lead and it was given."""
    leading = findings.opinions.leading if findings.opinions is not None else None
    made = {OpinionSource.CLASSIFIER: findings.density_class, OpinionSource.EXPERTS: findings.experts}
    by = made.get(leading.source) if leading is not None else None
    if leading is None or by is None or by.model is None:
        return None
    why = f"Leads by the site's setting; by a model trained on {by.model.trained_on}, no DXA result."
    detail = f"{why} Measured: {measured.title}. {measured.detail}"
    return Headline(title=ascii_text(f"{leading.words.upper()} - BY A MODEL"), detail=ascii_text(detail))


def _predicted_headline(density: DensityClass) -> Headline:
    """A densitometry study in which a model's probability is all there is."""
    if density.model is None:
        return Headline(title="NOTHING REPORTED", detail=ascii_text(f"{density.because}."))
    title = f"OSTEOPOROSIS {density.percentages['osteoporosis']} % - PREDICTED BY A MODEL"
    detail = f"Probability by a model trained on {density.model.trained_on}, from the image of {density.level}."
    return Headline(title=title, detail=ascii_text(f"{detail} The study states no value of the densitometer that could be carried."))


def _estimated_headline(measurement: "CxrMeasurement") -> Headline:
    """A chest film that a model read: which side of the threshold, and that it is an estimate."""
    reading = measurement.reading
    limits = measurement.limits.said
    titles = {
        True: f"DXA RECOMMENDED - ESTIMATED T-SCORE AT OR BELOW {limits}",
        False: f"ESTIMATED T-SCORES ABOVE THE THRESHOLD ({limits})",
        None: "BONE DENSITY ESTIMATED, NO T-SCORE",
    }
    told = ", ".join(
        f"{level.level} {level.bmd_g_cm2:.2f} g/cm2" + ("" if level.t_score is None else f" (T {level.t_score + 0.0:.1f})")
        for level in reading.levels
    )
    by = f"Estimated from a chest film by a model trained on {measurement.density_model.trained_on}, not measured"
    return Headline(title=titles[reading.low], detail=ascii_text(f"{by}: {told}."))


def advice(findings: Findings) -> str | None:
    """What to do; None where nothing is reported."""
    if findings.reason is None and findings.cxr is not None and findings.cxr.measurement is not None:
        return ascii_text(findings.cxr.measurement.reading.recommendation)
    if findings.reason is not None or findings.summary is None or findings.summary.band is None:
        return None
    return ascii_text(findings.summary.recommendation) or None


def band_range(band: Band, thresholds: Sequence[Threshold]) -> str:
    """The band's edges in words: "at or below 110 HU"."""
    edges = sorted(round_hu(t.hu) for t in thresholds)
    if not edges:
        return "no threshold configured"
    if band is Band.LOW:
        return f"at or below {edges[0]} HU"
    if band is Band.ABOVE:
        return f"above {edges[-1]} HU"
    return f"above {edges[0]} HU, at or below {edges[-1]} HU"
