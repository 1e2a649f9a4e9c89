"""One simulated patient in all three modalities, as a picture: ``python -m training.simulation.gallery --out docs/images/patient.png``."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from training.simulation.ct import simulate_ct
from training.simulation.parameters import AcquisitionParameters, FieldOfView, PatientParameters
from training.simulation.xray.dxa import DxaParameters, simulate_dxa
from training.simulation.xray.film import ChestFilmParameters, simulate_chest_film

HEIGHT_PX, GAP_PX, CAPTION_PX = 640, 8, 26
WINDOW_HU = (-160.0, 340.0)
Grey = NDArray[np.uint8]


def patient_picture(seed: int, *, fine: bool = True) -> Image.Image:
    """CT (coronal, sagittal, axial), chest film and DXA of one patient, side by side, with captions.

    ``fine`` False makes the same picture of coarse voxels in a fraction of the time.
    """
    patient = PatientParameters(seed=seed, sex="F", age_years=71, trabecular_hu=95.0, fat_mm=20.0, aortic_calcification=0.12)
    panels = [*_ct_panels(patient, fine=fine), _film_panel(patient, fine=fine), _dxa_panel(patient, fine=fine)]
    width = sum(image.width for _, image in panels) + GAP_PX * (len(panels) + 1)
    page = Image.new("L", (width, HEIGHT_PX + 2 * GAP_PX + CAPTION_PX), 0)
    draw = ImageDraw.Draw(page)
    left = GAP_PX
    for caption, image in panels:
        page.paste(image, (left, GAP_PX + CAPTION_PX))
        draw.text((left + 2, GAP_PX), caption, font=ImageFont.load_default(size=17), fill=230)
        left += image.width + GAP_PX
    return page


def _ct_panels(patient: PatientParameters, *, fine: bool) -> list[tuple[str, Image.Image]]:
    """Coronal and sagittal planes through the lumbar bodies, axial plane through L1."""
    pixel, step = (0.8, 1.0) if fine else (3.0, 4.0)
    count = round(410 / pixel)
    acquisition = AcquisitionParameters(
        rows=count, columns=count, pixel_spacing_mm=pixel, slice_spacing_mm=step, noise_sd_hu=10.0, field_of_view=FieldOfView.TRUNK
    )
    simulated = simulate_ct(patient, acquisition)
    volume, spacing = simulated.volume, simulated.volume.spacing_mm
    level = simulated.truth.level("L2")
    first = simulated.truth.level("L1")
    if level is None or first is None:
        raise ValueError("the trunk shows L1 and L2")
    _, row, column = (round(float(value)) for value in volume.to_indices(np.array([level.centre_lps_mm]))[0])
    axial = round(float(volume.to_indices(np.array([first.centre_lps_mm]))[0][0]))
    rows, columns = _body(volume.hu[axial])
    hu = volume.hu[:, rows, columns]
    row, column = row - rows.start, column - columns.start
    return [
        ("CT, coronal", _panel(_windowed(hu[::-1, row]), (spacing[0], spacing[2]))),
        ("sagittal", _panel(_windowed(hu[::-1, :, column]), (spacing[0], spacing[1]))),
        ("axial, L1", _panel(_windowed(hu[axial]), (spacing[1], spacing[2]), fill=False)),
    ]


def _body(hu: NDArray[np.int16]) -> tuple[slice, slice]:
    """The rows and columns of an axial image that the body takes, without the couch."""
    parts, count = ndimage.label(ndimage.binary_opening(hu > -400, iterations=2))
    sizes = ndimage.sum_labels(np.ones(parts.shape), parts, np.arange(1, count + 1))
    box: tuple[slice, slice] = ndimage.find_objects((parts == 1 + int(np.argmax(sizes))).astype(np.uint8))[0]
    return box


def _film_panel(patient: PatientParameters, *, fine: bool) -> tuple[str, Image.Image]:
    film = simulate_chest_film(patient, ChestFilmParameters(paint_spacing_mm=1.0 if fine else 4.0))
    grey = (film.image >> (film.acquisition.bits_stored - 8)).astype(np.uint8)
    return ("chest film, PA", _panel(grey, (1.0, 1.0)))


def _dxa_panel(patient: PatientParameters, *, fine: bool) -> tuple[str, Image.Image]:
    scan = simulate_dxa(patient, DxaParameters(device="GE Lunar", paint_spacing_mm=1.0 if fine else 4.0))
    return (f"DXA, T-score {scan.total.t_score:.1f}", _panel(scan.image, (1.0, 1.0)))


def _windowed(hu: NDArray[np.int16]) -> Grey:
    low, high = WINDOW_HU
    return np.asarray(np.rint(np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255), dtype=np.uint8)


def _panel(image: Grey, spacing_mm: tuple[float, float], *, fill: bool = True) -> Image.Image:
    """The image on square pixels, as high as the page; one that does not ``fill`` the height stands in its middle at half of it."""
    height = HEIGHT_PX if fill else round(0.5 * HEIGHT_PX)
    scale = height / (image.shape[0] * spacing_mm[0])
    size = (round(image.shape[1] * spacing_mm[1] * scale), height)
    smooth = ndimage.gaussian_filter(image, 0.4) if size[1] < image.shape[0] else image
    panel = Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC)
    if fill:
        return panel
    page = Image.new("L", (size[0], HEIGHT_PX), 0)
    page.paste(panel, (0, (HEIGHT_PX - height) // 2))
    return page


def main(arguments: list[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description="One simulated patient as CT, chest film and DXA, in one picture.")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="coarse voxels: seconds instead of a minute")
    chosen = parser.parse_args(arguments)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    patient_picture(chosen.seed, fine=not chosen.quick).save(chosen.out, optimize=True)


if __name__ == "__main__":
    main()
