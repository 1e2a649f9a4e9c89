"""Cases of a user's images: DICOM studies as the node recognises and crops them, or pictures; each that gives no case with its reason."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.dxa.crop import SpineRoi
from inference.dxa.pixels import COLOUR_DIFFERENCE, DxaPixels, read_pixels
from inference.dxa.recognise import ImageDecision, decide_image
from inference.errors import ReasonCode, Refusal
from inference.reading import find_files, read_headers
from training.data.manifest import read_manifest
from training.data.rows import Manifest, ManifestRow, manifest_of
from training.data.values import Modality
from training.dxa.cases import CROP_VERSION, Case, Prepared, crops
from training.dxa.layout import PICTURES, read_layout
from training.errors import TrainingError
from training.preparing import Skipped, gathered, kept
from training.transforms.cache import Arrays


def read_source(source: Path) -> Manifest:
    """The DXA rows of a manifest file, or of a folder in the layout of public data sets.

    Raises
    ------
    TrainingError
        It cannot be read, or lists no DXA image.
    """
    manifest = read_layout(source) if source.is_dir() else read_manifest(source)
    rows = [row for row in manifest.used if row.modality is Modality.DXA]
    if not rows:
        raise TrainingError(f"{source} lists no DXA image")
    return manifest_of(rows, manifest.folder)


def prepare_rows(rows: Sequence[ManifestRow], cache: Path, *, jobs: int = 1, progress: bool = True) -> Prepared:
    """Cases of rows, in their order; a row without a class, or whose image cannot be cropped, is skipped with its reason.

    Raises
    ------
    TrainingError
        A process died.
    """
    found = gathered(partial(_case, cache=cache), rows, "cropping L1 to L4", jobs, progress=progress)
    return Prepared(
        cases=tuple(one for one in found if isinstance(one, Case)), skipped=tuple(one for one in found if isinstance(one, Skipped))
    )


def _case(row: ManifestRow, cache: Path) -> Case | Skipped:
    if row.label is None:
        return Skipped(patient=row.patient_id, because="neither a class nor a T-score of L1-L4 is given")
    if row.path is None:
        return Skipped(patient=row.patient_id, because="no image is given")
    files = find_files([row.path])
    told = {"crop": CROP_VERSION, "series": row.series_uid}
    found = kept(cache, files, told, lambda: crops_of(files, row.series_uid)) if files else "there is no image"
    if isinstance(found, str):
        return Skipped(patient=row.patient_id, because=found)
    t_score = float("nan") if row.diagnostic_t_score is None else row.diagnostic_t_score
    return Case(
        patient=row.patient_id,
        image=found["image"],
        large=found["large"],
        label=row.label,
        t_score=t_score,
        device=row.device or "",
        path=row.path,
    )


def crops_of(files: Sequence[Path], series_uid: str | None = None) -> Arrays:
    """Both crops of the AP spine among the files of one study, or of one picture.

    Raises
    ------
    Refusal
        None of them is an AP spine that can be cropped: the reason of the first.
    """
    if len(files) == 1 and files[0].suffix.lower() in PICTURES:
        return crops(picture_pixels(files[0]))
    headers, skipped = read_headers(files)
    decisions = [decide_image(header) for header in headers if series_uid in (None, header.series_instance_uid)]
    best = max((one for one in decisions if one.used), key=_suitability, default=None)
    if best is None or best.path is None:
        reasons = [one.reason for one in decisions if one.reason is not None] + [one.reason for one in skipped]
        first = reasons[0] if reasons else None
        raise Refusal(first.code if first else ReasonCode.NO_SUITABLE_SERIES, first.text if first else "There is no image.")
    return crops(read_pixels(best.path))


def picture_pixels(path: Path) -> DxaPixels:
    """A picture file as grey values, bone bright; coloured pixels are marked.

    Raises
    ------
    Refusal
        It cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            wide = image.mode in ("I;16", "I", "F")
            stored: NDArray[np.float32] = np.asarray(image if wide else image.convert("RGB"), dtype=np.float32)
    except (OSError, ValueError) as error:
        raise Refusal(ReasonCode.UNREADABLE_PIXELS, f"{path.name} cannot be read: {error}") from error
    if wide:
        low, high = float(stored.min()), float(stored.max())
        grey = (stored - np.float32(low)) / np.float32(max(high - low, 1e-9))
        return DxaPixels(grey=grey, coloured=np.zeros(grey.shape, dtype=np.bool_), said="picture, 16 bit", relative=True)
    rgb = stored / np.float32(255)
    coloured = (rgb.max(axis=-1) - rgb.min(axis=-1)) > COLOUR_DIFFERENCE
    return DxaPixels(grey=rgb.mean(axis=-1, dtype=np.float32), coloured=coloured, said="picture, 8 bit")


def _suitability(decision: ImageDecision) -> tuple[bool, int]:
    """As the workflow prefers: certain levels, then more pixels."""
    roi: SpineRoi | None = decision.roi
    if roi is None:
        return (False, 0)
    top, left, bottom, right = roi.box
    return (roi.levels_certain, (bottom - top) * (right - left))
