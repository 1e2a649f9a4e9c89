"""How far simulated spines, other regions and real images of other things lie from the limits by which an AP spine is told by its looks.

usage: python -m benchmarks.dxa_looks [--patients 8]

Prints one row for the spines of each densitometer (least and greatest value over the patients), one for every other region of one patient
and, where the real test images are at hand, one for each of them that is no spine. Nothing here was used to set a limit but the simulated
spines.
"""

import argparse
from collections.abc import Iterator
from dataclasses import astuple, fields

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from inference.dxa.area import find_area
from inference.dxa.crop import column_of
from inference.dxa.image_check import Looks, check_image, looks_of
from inference.dxa.pixels import DxaPixels, read_pixels
from inference.errors import Refusal
from tests.paths import DATA
from training.simulation.parameters import PatientParameters
from training.simulation.xray.devices import DEVICES
from training.simulation.xray.dxa import DxaParameters, simulate_dxa
from training.simulation.xray.dxa_page import with_border_polygons
from training.simulation.xray.regions import simulate_regions

REAL = DATA / "cxr"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=8)
    arguments = parser.parse_args()
    table = Table("image", *(field.name for field in fields(Looks)), "doubts")
    for device in DEVICES:
        found = [measured(pixels) for pixels in track(spines(device, arguments.patients), device, total=arguments.patients)]
        looks = [item for item, _ in found if item is not None]
        table.add_row(f"{len(found)} spines, {device}", *spread(looks), f"{sum(doubts > 0 for _, doubts in found)} of {len(found)} images")
    for name, pixels in others():
        looks_, doubts = measured(pixels)
        table.add_row(name, *(spread([looks_]) if looks_ is not None else ["no column"] + [""] * (len(fields(Looks)) - 1)), str(doubts))
    Console(width=170).print(table)


def spines(device: str, count: int) -> Iterator[DxaPixels]:
    """Patients of every density, lean, curve and width."""
    draw = np.random.default_rng(11)
    for seed in range(count):
        patient = PatientParameters(
            seed=seed,
            trabecular_hu=float(draw.uniform(40, 220)),
            scoliosis_deg=float(draw.uniform(-10, 10)),
            fat_mm=float(draw.uniform(10, 40)),
        )
        image = simulate_dxa(patient, DxaParameters(device=device, paint_spacing_mm=2.5)).image
        yield grey(with_border_polygons(image, seed) if device == "GE Lunar" else image)


def others() -> Iterator[tuple[str, DxaPixels]]:
    """Other regions of one simulated patient; real images of other things, where they are at hand."""
    patient = PatientParameters(seed=5, trabecular_hu=120.0)
    for scan in simulate_regions(patient, DxaParameters(device="GE Lunar", paint_spacing_mm=2.5), spacing_mm=4.0):
        yield scan.region.value, grey(scan.image)
    for path in sorted([*REAL.glob("dicom/*.dcm"), *REAL.glob("negatives/*.dcm")]):
        try:
            yield f"real: {path.name[-28:]}", read_pixels(path)
        except Refusal:
            continue


def grey(image: NDArray[np.uint8]) -> DxaPixels:
    """A simulated picture as the workflow reads it."""
    return DxaPixels(grey=image.astype(np.float32) / np.float32(255), coloured=np.zeros(image.shape, dtype=np.bool_), said="8 bit")


def measured(pixels: DxaPixels) -> tuple[Looks | None, int]:
    """What is measured, where a column is found, and the number of doubts."""
    area = find_area(pixels)
    column, turned = column_of(pixels, area)
    shown = pixels.inverted() if turned else pixels
    doubts = len(check_image(shown, area, column).doubts)
    return (None if column is None else looks_of(shown, area, column)), doubts


def spread(looks: list[Looks]) -> list[str]:
    """Least and greatest value of each measure, or the one value there is."""
    values = np.array([astuple(item) for item in looks], dtype=np.float64)
    return [
        written(low) if low == high else f"{written(low)}-{written(high)}" for low, high in zip(values.min(0), values.max(0), strict=True)
    ]


def written(value: float) -> str:
    """Counts whole, shares with two decimals."""
    return f"{value:.0f}" if value >= 3 else f"{value:.2f}"


if __name__ == "__main__":
    main()
