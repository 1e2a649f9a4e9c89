"""Crops of every vertebra of a study, from DICOM by any segmenter, each with its level or with the reason why it is left out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.ct.crop import CropMask
from inference.ct.measure import measure_bodies
from inference.ct.options import CtOptions
from inference.ct.quality import assess
from inference.ct.segmentation import Segmentation
from inference.ct.vertebra_experts import POSITIONS
from training.data.rows import ManifestRow
from training.data.values import Modality
from training.errors import TrainingError
from training.medconv.crops import CropOptions, crop_volume, load_study, segmenter_of, study_files
from training.pairing.months import within_months
from training.preparing import gathered, kept
from training.tpswav.census import Census, Excluded, Exclusion, exclusion_of, merged
from training.tpswav.vertebrae import Vertebra
from training.transforms.cache import Arrays

MONTHS = 6
"""A DXA speaks for a CT that is no further away (section 3.1)."""
LABELLED_LEVELS = ("L1", "L2", "L3", "L4")
_REASONS = tuple(Exclusion)
_NO_LEVEL = -1

FULL_BOX = CropOptions(mask=CropMask.BOX, level="any")
"""64 mm at 1 mm with all that lies around the vertebra: the paper's box, but for its turning with the vertebra."""
SMALL_BOX = replace(FULL_BOX, shape=(32, 32, 32), spacing_mm=(2.0, 2.0, 2.0))
"""The same 64 mm at 2 mm."""


def prepare_manifest(rows: Sequence[ManifestRow], crop: CropOptions, cache: Path, *, jobs: int = 1, progress: bool = True) -> Census:
    """The vertebrae of the CT studies of a manifest, in its order.

    Raises
    ------
    TrainingError
        There is no CT study, or a process died.
    """
    studies = [row for row in rows if row.modality is Modality.CT]
    if not studies:
        raise TrainingError("the manifest lists no CT study")
    return merged(gathered(partial(study_census, crop=crop, cache=cache), studies, "cropping vertebrae", jobs, progress=progress))


def study_census(row: ManifestRow, crop: CropOptions, cache: Path) -> Census:
    """The vertebrae of one study; a study that cannot be read is left out with its patient."""
    site = row.site or row.device or "unknown"
    unreadable = Excluded(patient=row.patient_id, site=site, level=None, why=Exclusion.UNREADABLE)
    try:
        files = (*study_files(row), *((row.mask,) if row.mask is not None else ()))
    except TrainingError:
        return Census(vertebrae=(), excluded=(unreadable,))
    found = kept(cache, files, {"vertebrae": crop.plain(), "series": row.series_uid}, lambda: crop_all(row, crop))
    if isinstance(found, str):
        return Census(vertebrae=(), excluded=(unreadable,))
    late = has_dxa(row) and not in_time(row)
    vertebrae = tuple(
        labelled_vertebra(row, POSITIONS[int(place)], hu, site, late=late) for place, hu in zip(found["position"], found["hu"], strict=True)
    )
    excluded = [
        Excluded(patient=row.patient_id, site=site, level=None if place == _NO_LEVEL else POSITIONS[int(place)], why=_REASONS[int(why)])
        for place, why in zip(found["left_out"], found["why"], strict=True)
    ]
    if not any(one.level in LABELLED_LEVELS for one in vertebrae):
        excluded.append(Excluded(patient=row.patient_id, site=site, level=None, why=Exclusion.NO_LUMBAR))
    return Census(vertebrae=vertebrae, excluded=tuple(excluded), labels_out_of_date=(row.patient_id,) if late else ())


def crop_all(row: ManifestRow, crop: CropOptions) -> Arrays:
    """``hu`` (N, z, y, x) int16 and ``position`` (N,) of what is usable; ``left_out`` (M,) positions (-1: uncertain), ``why`` (M,).

    Raises
    ------
    TrainingError, Refusal
        The study cannot be read or segmented.
    """
    volume = load_study(row).volume
    segmentation = segmenter_of(row, crop).segment(volume)
    options = CtOptions()
    bodies = measure_bodies(volume, segmentation, options).bodies
    findings = {finding.label: finding for finding in assess(bodies, options)}
    crops: list[NDArray[np.int16]] = []
    positions: list[int] = []
    left_out: list[tuple[int, int]] = []
    for body in bodies:
        level = body.vertebra.level
        why = exclusion_of(body, findings.get(body.vertebra.label), options)
        if why is None and level in POSITIONS:
            crops.append(crop_volume(volume, _mask(segmentation, body.vertebra.label, crop), crop))
            positions.append(POSITIONS.index(level))
        else:
            named = level in POSITIONS and body.vertebra.level_certain
            left_out.append((POSITIONS.index(level) if named else _NO_LEVEL, _REASONS.index(why or Exclusion.IDENTIFICATION)))
    places = np.array(left_out, dtype=np.int64).reshape(-1, 2)
    hu = np.stack(crops) if crops else np.zeros((0, *crop.shape), dtype=np.int16)
    return {"hu": hu, "position": np.array(positions, dtype=np.int64), "left_out": places[:, 0], "why": places[:, 1]}


def _mask(segmentation: Segmentation, label: int, crop: CropOptions) -> NDArray[np.bool_]:
    """What the crop is drawn around.

    Raises
    ------
    TrainingError
        Whole vertebrae are wanted, and the segmenter gives bodies alone.
    """
    if crop.mask is CropMask.VERTEBRA:
        if segmentation.whole is None:
            raise TrainingError(f"the segmenter {segmentation.model.name} gives bodies alone; choose --mask body or box")
        return np.asarray(segmentation.whole == label)
    return np.asarray(segmentation.bodies == label)


def labelled_vertebra(row: ManifestRow, level: str, hu: NDArray[np.int16], site: str, *, late: bool) -> Vertebra:
    """A vertebra with what the manifest says of its level, where the DXA is recent enough and its make is known."""
    known = not late and row.device is not None
    return Vertebra(
        patient=row.patient_id,
        site=site,
        device=row.device if known else None,
        level=level,
        hu=hu,
        bmd_g_cm2=row.bmd_g_cm2.get(level, float("nan")) if known else float("nan"),
        t_score=row.t_scores.get(level, float("nan")) if known else float("nan"),
    )


def has_dxa(row: ManifestRow) -> bool:
    """Whether the row says anything of a vertebra."""
    return any(level in LABELLED_LEVELS for level in (*row.bmd_g_cm2, *row.t_scores))


def in_time(row: ManifestRow) -> bool:
    """Whether CT and DXA lie within six calendar months. A manifest without one of the dates vouches for it: it was paired before."""
    if row.study_date is None or row.dxa_date is None:
        return True
    return within_months(row.study_date, row.dxa_date, MONTHS)
