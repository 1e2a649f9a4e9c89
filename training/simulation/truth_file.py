"""``truth.json``: everything that is true about one simulated patient, with its schema and its reader. ``docs/simulation.md`` explains it.

Areal density has three faces that are kept apart: the *true* one (mineral of the level over its projected area), the same on the *scale of
a device*, and what a simulated densitometer *measured*, which has noise in it.
"""

from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.data.labels import BoneLabel
from training.errors import TrainingError

TRUTH_NAME = "truth.json"
SCHEMA_VERSION: Final = 1
NOTICE = "Simulated patient: no person behind it. Research use."


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CohortTruth(_Model):
    """Which cohort the patient belongs to; ``request_sha256`` stands for everything that decided what was written."""

    name: str
    seed: int
    index: int
    request_sha256: str


class PatientTruth(_Model):
    """Who the patient is in DICOM, and the parameters of the body."""

    patient_id: str
    patient_name: str
    sex: Literal["F", "M"]
    age_years: int
    birth_date: date
    parameters: dict[str, Any]


class DeviceBone(_Model):
    """Areal density on the scale of one device, with the T-score by its reference."""

    bmd_g_cm2: float
    t_score: float


class LevelBone(_Model):
    """Bone of one level, whatever scans it.

    ``bmd_g_cm2`` is the true areal density, ``bmc_g / area_cm2``; ``devices`` gives it on each device's scale. ``altered`` says why a
    method should not use the level.
    """

    level: str
    vbmd_mg_cm3: float | None
    bmc_g: float
    area_cm2: float
    bmd_g_cm2: float
    devices: dict[str, DeviceBone]
    altered: tuple[str, ...]


class BoneTruth(_Model):
    """The patient's bone density.

    Attributes
    ----------
    device
        Whose scale ``t_score`` and ``label`` are on.
    levels_used
        The levels of L1-L4 that are not altered; their mineral over their area gives the T-score (ISCD).
    devices
        The density of these levels on every device's scale.
    """

    device: str
    t_score: float
    label: BoneLabel
    levels_used: tuple[str, ...]
    devices: dict[str, DeviceBone]
    levels: tuple[LevelBone, ...]


class StudyTruth(_Model):
    """A written study; ``path`` is relative to the folder of ``truth.json``."""

    study_uid: str
    series_uid: str
    study_date: date
    path: str
    files: int = Field(ge=1)


class MaskTruth(_Model):
    """Label images on the grid of the CT series, NIfTI: vertebral bodies by ``labels``, structures by ``structure_labels``."""

    bodies: str
    structures: str
    labels: dict[str, int]
    structure_labels: dict[str, int]


class Heights(_Model):
    """Heights of a body, mm."""

    anterior: float
    middle: float
    posterior: float


class CtLevel(_Model):
    """One body of the CT: attenuation at this tube voltage and contrast phase, noise-free, at least 3 mm inside the cortex."""

    level: str
    label: int
    whole: bool
    altered: tuple[str, ...]
    trabecular_hu: float | None
    trabecular_median_hu: float | None
    height_mm: Heights
    centre_lps_mm: tuple[float, float, float]


class CtTruth(StudyTruth):
    """The CT study: its axial series, its masks and its levels."""

    vendor: str
    contrast: str
    acquisition: dict[str, Any]
    masks: MaskTruth
    levels: tuple[CtLevel, ...]


class Landmark(_Model):
    """A point of a film: (row, column) of the written image, counted from the centre of its first pixel."""

    name: str
    row: float
    column: float


class FilmTruth(StudyTruth):
    """The chest radiograph. ``spacing_mm`` is that of the detector."""

    acquisition: dict[str, Any]
    spacing_mm: float
    rows: int
    columns: int
    landmarks: tuple[Landmark, ...]


class DxaLevelTruth(_Model):
    """What the simulated densitometer measured at a level, and where: ``box`` is (first row, first column, last row, last column)."""

    level: str
    bmd_g_cm2: float
    area_cm2: float
    bmc_g: float
    t_score: float
    box: tuple[int, int, int, int]


class DxaTruth(StudyTruth):
    """The DXA study: a file a region in ``regions``, and the measurement of L1 to L4 and of all four (``L1-L4``)."""

    device: str
    acquisition: dict[str, Any]
    spacing_mm: float
    regions: dict[str, str]
    levels: tuple[DxaLevelTruth, ...]


class Studies(_Model):
    """The studies that were written."""

    ct: CtTruth | None = None
    cxr: FilmTruth | None = None
    dxa: DxaTruth | None = None


class PatientFile(_Model):
    """The content of ``truth.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    simulated: Literal[True] = True
    notice: str = NOTICE
    software: str
    cohort: CohortTruth
    patient: PatientTruth
    bone: BoneTruth
    studies: Studies


def write_truth_file(truth: PatientFile, folder: Path) -> Path:
    """Write ``truth.json`` into ``folder``: whole or not at all. The same truth gives the same bytes."""
    path = folder / TRUTH_NAME
    half = folder / f".{TRUTH_NAME}.partial"
    half.write_text(truth.model_dump_json(indent=1) + "\n", encoding="utf-8")
    half.replace(path)
    return path


def read_truth(path: Path) -> PatientFile:
    """Read ``truth.json``; ``path`` is the file or its folder.

    Raises
    ------
    TrainingError
        It is absent, unreadable, of another schema version, or says something that the schema does not know.
    """
    file = path / TRUTH_NAME if path.is_dir() else path
    try:
        return PatientFile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise TrainingError(f"{file}: {error.strerror or error}; a patient's folder of 'osteon simulate' holds it") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        text = f"{file}: {where}: {first['msg']}; it is read by schema version {SCHEMA_VERSION}, simulate the patient again"
        raise TrainingError(text) from None
