"""A study of chest films in words: which film was read, what a model estimates from it, and where it looked."""

from typing import Final

import numpy as np

from inference.cxr.film import NormalisedFilm
from inference.cxr.findings import CxrFindings, CxrMeasurement
from inference.cxr.rois import REGION_NAMES, SIDES, Floats, region_words
from inference.findings import Findings
from node.results.density_class import origin
from node.results.wording import ascii_text

IMAGE_SIDES: Final = ("image right", "image left")
"""What left and right are called where nothing tells the patient's sides: the film is upright, the patient's left thought on its right."""


def cxr_lines(findings: Findings) -> list[str]:
    """What is said of a chest study beside its headline; empty for any other study."""
    cxr = findings.cxr
    if cxr is None:
        return []
    lines = [film_line(cxr)]
    return lines if cxr.measurement is None else [*estimate_lines(cxr.measurement), *region_lines(cxr), *lines]


def page_lines(cxr: CxrFindings) -> list[str]:
    """The same for a picture, whose table holds the levels. The header's descriptions are free text, which may name a person: left out."""
    measurement = cxr.measurement
    if measurement is None:
        return [film_line(cxr, quoting=False)]
    by = dict.fromkeys(reading.because.replace(f"that of {reading.level}", "each level's") for reading in measurement.reading.levels)
    lines = [f"T-scores: {because}. By a {origin(measurement.density_model)}." for because in by]
    return [ascii_text(line) for line in (scale_line(measurement), *lines, *region_lines(cxr), film_line(cxr, quoting=False))]


def film_line(cxr: CxrFindings, *, quoting: bool = True) -> str:
    """Which film is used."""
    used = cxr.used
    if used is None or used.film is None:
        return "No film of the study is used as a frontal chest film."
    rows, columns = used.film.image.shape
    return ascii_text(used.because if quoting else f"Frontal chest film ({used.view}), {rows} x {columns} pixels.")


def estimate_lines(measurement: CxrMeasurement) -> list[str]:
    """Each level in a sentence, and what all of them are."""
    told = [f"{sentence} By a {origin(measurement.density_model)}." for sentence in measurement.reading.sentences]
    return [ascii_text(line) for line in (*told, scale_line(measurement))]


def scale_line(measurement: CxrMeasurement) -> str:
    """On whose scale the densities are, and that they are none of a densitometer's."""
    scale = f"on the scale of {measurement.densitometer}" if measurement.densitometer else "on a scale that the model does not state"
    return (
        f"Estimates from a chest film {scale}, not measured by DXA. The spread tells how far the networks disagree, not how far they err."
    )


def region_lines(cxr: CxrFindings) -> list[str]:
    """Which regions the networks took most from, and who found the bones; none without a measurement."""
    measurement, used = cxr.measurement, cxr.used
    if measurement is None or used is None or used.film is None:
        return []
    found = measurement.landmark_model
    lines = [f"Bones found by {found.name} {found.version}, a {origin(found)}; C7 to T12 framed in 14 regions."]
    percents = attention_percents(measurement)
    if percents:
        sides = sides_of(used.film)
        first = sorted(percents, key=lambda name: (-percents[name], REGION_NAMES.index(name)))[:4]
        told = ", ".join(f"{region_words(name, sides=sides)} {percents[name]} %" for name in first)
        even = 100 / len(percents)
        lines.append(
            f"Attention, mean of the networks (evenly shared, each region had {even:.0f} %): most on {told}. It explains no value."
        )
    return [ascii_text(line) for line in lines]


def attention_percents(measurement: CxrMeasurement) -> dict[str, int]:
    """Whole per cent by region, summing to 100 (largest remainders rounded up); empty where nothing attends."""
    shares = measurement.estimate.attention
    if shares is None:
        return {}
    parts = 100 * shares / shares.sum()
    whole = np.floor(parts).astype(int)
    short = np.argsort(whole - parts, kind="stable")[: 100 - int(whole.sum())]
    whole[short] += 1
    return dict(zip(REGION_NAMES, (int(value) for value in whole), strict=True))


def sides_of(film: NormalisedFilm) -> tuple[str, str]:
    """What left and right are called on a film."""
    return SIDES if film.side_certain else IMAGE_SIDES


def stored_boxes(film: NormalisedFilm, boxes: Floats) -> Floats:
    """(N, 4) top, left, bottom, right on the stored image of boxes on the film, both counted from the outer edge of the first pixel.

    A film lies at quarter turns to its file, so that a box stays a box.
    """
    corners = [film.stored_points(boxes[:, [first, second]] - 0.5) + 0.5 for first, second in ((0, 1), (2, 3))]
    return np.concatenate([np.minimum(*corners), np.maximum(*corners)], axis=1)
