"""Landmarks and regions drawn over chest films, for a person to look at: on films of patients there is no truth to measure against.

usage: python -m benchmarks.cxr_overlays FILE... --out DIR [--landmark-bundle DIR] [--bmd-bundle DIR]

Each DICOM file, or grey picture (PNG), is decided and read as the node reads it; the film in its one form is drawn with the landmarks and
regions that the bundle finds, whether or not they would be refused. A line for each file tells the decision, whether the geometry is
plausible, and what the networks estimate. Bundles that learned from simulated patients are run all the same: nothing is reported of it.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from inference.bundles import Bundle, load_bundle, load_network
from inference.bundles.bundle import SHIPPED
from inference.cxr.estimate import estimate_density
from inference.cxr.film import NormalisedFilm
from inference.cxr.locate import find_landmarks
from inference.cxr.network import DensityEnsemble
from inference.cxr.recognise import FilmDecision, decide_film
from inference.cxr.rois import Floats, bone_boxes
from inference.errors import Refusal
from inference.reading import read_header

HEIGHT = 900
"""Of a drawn film."""


def overlay(film: NormalisedFilm, landmarks: Floats, height: int = HEIGHT) -> Image.Image:
    """The film with a dot at each landmark and the fourteen regions.

    Parameters
    ----------
    landmarks
        (16, 2) in pixels of the film.
    """
    factor = height / film.image.shape[0]
    size = (round(film.image.shape[1] * factor), height)
    shown = Image.fromarray(np.rint(np.clip(film.image, 0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    pen = ImageDraw.Draw(shown)
    for top, left, bottom, right in bone_boxes(landmarks) * factor:
        pen.rectangle([left, top, right, bottom], outline=(0, 190, 255), width=2)
    for row, column in (landmarks + 0.5) * factor:
        pen.ellipse([column - 5, row - 5, column + 5, row + 5], fill=(255, 60, 60))
    return shown


def told(film: NormalisedFilm, landmarks: Floats, bundle: Bundle) -> str:
    """What the networks estimate of a film, or why its geometry is refused."""
    network = load_network(bundle)
    if not isinstance(network, DensityEnsemble):
        raise SystemExit(f"{bundle.folder} holds no ensemble that estimates density")
    osteon = bundle.metadata.osteon
    try:
        found = estimate_density(film.image, landmarks, network, osteon.targets, osteon.input.patch_size[0])
    except Refusal as refusal:
        return f"refused: {refusal}"
    levels = ", ".join(f"{level.level} {level.bmd_g_cm2:.2f} (SD {level.spread_g_cm2:.2f})" for level in found.levels)
    return f"{levels} g/cm2; least of a region on the film {found.rois.inside.min():.0%}"


def decided(path: Path) -> FilmDecision:
    """A DICOM file's decision; a picture is read as a CR whose header says nothing."""
    if path.suffix.lower() != ".png":
        return decide_film(read_header(path))
    with tempfile.TemporaryDirectory() as folder:
        return decide_film(read_header(as_dicom(path, Path(folder) / "film.dcm")))


def as_dicom(picture: Path, path: Path) -> Path:
    """A grey picture as a CR without body part and view."""
    pixels = np.asarray(Image.open(picture).convert("L"), dtype=np.uint8)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[picture.name])
    ds.StudyInstanceUID = ds.SeriesInstanceUID = generate_uid(entropy_srcs=[picture.name, "study"])
    ds.PatientID, ds.PatientName, ds.Modality, ds.BodyPartExamined, ds.ViewPosition = picture.stem, "", "CR", "", ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = np.ascontiguousarray(pixels).tobytes() + b"\0" * (pixels.size % 2)
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw every film and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cxr_overlays", description="Landmarks drawn over chest films.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--landmark-bundle", type=Path, default=SHIPPED / "cxr-landmarks")
    parser.add_argument("--bmd-bundle", type=Path, default=SHIPPED / "cxr-bmd")
    given = parser.parse_args(arguments)
    finder, density = load_bundle(given.landmark_bundle), load_bundle(given.bmd_bundle) if given.bmd_bundle.exists() else None
    given.out.mkdir(parents=True, exist_ok=True)
    for path in given.files:
        decision = decided(path)
        if decision.film is None:
            print(f"{path.name}: not used: {decision.because}")
            continue
        landmarks = find_landmarks(decision.film.image, load_network(finder), finder.metadata.osteon.input.patch_size[0])
        overlay(decision.film, landmarks).save(given.out / f"{path.stem[-24:]}.png")
        print(f"{path.name}: {told(decision.film, landmarks, density) if density is not None else 'drawn'}")


if __name__ == "__main__":
    main()
