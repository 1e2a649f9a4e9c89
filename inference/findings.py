"""Findings: what a workflow says about a study, as plain frozen data. No DICOM objects, no units hidden in a bare number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from inference.errors import ReasonCode, WarningCode

if TYPE_CHECKING:
    from inference.ct.opinions import Opinions
    from inference.ct.vertebra_readings import VertebraReadings
    from inference.cxr.findings import CxrFindings
    from inference.dxa.findings import DxaFindings
    from inference.volume import Volume

RESEARCH_NOTICE = "Research use. Does not replace DXA. A normal result does not rule out osteoporosis."


class Outcome(StrEnum):
    """How a study ended."""

    RESULT = "result"
    RESULT_WITH_WARNINGS = "result_with_warnings"
    REFUSED = "refused"


class RoiKind(StrEnum):
    """Where in the body trabecular attenuation was measured."""

    CORE = "core"
    """The whole body eroded (6 mm by default)."""
    ELLIPSE = "ellipse"
    """Anterior-central ellipse at mid-height, as radiologists draw it."""


class Band(StrEnum):
    """Where the reported attenuation lies against the site's two thresholds."""

    LOW = "low"
    """At or below the high-specificity threshold."""
    INTERMEDIATE = "intermediate"
    """Above it, at or below the high-sensitivity threshold."""
    ABOVE = "above_thresholds"
    """Above both. Not 'normal': it does not rule out osteoporosis."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why something was refused, skipped or excluded."""

    code: ReasonCode
    text: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A warning that stands beside a number."""

    code: WarningCode
    text: str


@dataclass(frozen=True, kw_only=True)
class ModelUsed:
    """What produced a mask or a number. ``sha256`` changes whenever the weights (or, without weights, the code) change."""

    name: str
    version: str
    sha256: str
    trained_on: str


@dataclass(frozen=True, kw_only=True)
class Attenuation:
    """Attenuation inside one region, in HU."""

    mean_hu: float
    median_hu: float
    sd_hu: float


@dataclass(frozen=True, kw_only=True)
class RoiMeasurement:
    """One region of interest of one body.

    ``vbmd_mg_cm3`` is None without a calibration entry for this scanner and tube voltage. With one, ``vbmd_calibration`` names the
    entry's mineral (K2HPO4 and HA give different numbers) and source, to be shown beside the value.
    """

    kind: RoiKind
    attenuation: Attenuation
    voxels: int
    volume_ml: float
    vbmd_mg_cm3: float | None = None
    vbmd_calibration: str | None = None


@dataclass(frozen=True, kw_only=True)
class BodyHeights:
    """Heights of a body along its own axis, in mm."""

    anterior_mm: float
    middle_mm: float
    posterior_mm: float


@dataclass(frozen=True, kw_only=True)
class SecondReader:
    """What an independent second reader says of one body. It is held beside the measurement and never enters it.

    Attributes
    ----------
    level, level_certain
        What the second reader itself calls the body.
    dice
        Overlap of the two masks of this body, 0 to 1; 0 where the second reader sees no body here.
    mean_difference_hu, median_difference_hu
        Attenuation of the 6 mm core of the second reader's mask less that of the measured mask; None where either core is too small to
        carry a number.
    """

    level: str | None
    level_certain: bool
    dice: float
    mean_difference_hu: float | None = None
    median_difference_hu: float | None = None

    @property
    def found(self) -> bool:
        """Whether the second reader sees a body here at all."""
        return self.dice > 0.0


class LevelAgreement(StrEnum):
    """Whether two readers place the levels alike."""

    AGREE = "agree"
    """Every body that both name with certainty has one name."""
    DIFFER = "differ"
    """At least one has two, or the two count the bodies differently."""
    NOT_COMPARED = "not_compared"
    """No body is named with certainty by both."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a second reader agrees with the measurement, over the study.

    Attributes
    ----------
    model
        The second reader.
    compared
        Bodies that both see.
    only_first, only_second
        Bodies that one of them alone sees; bodies cut by the edge of the image count too.
    median_dice
        Over the compared bodies; None without any.
    median_difference_hu
        Median of the absolute differences of the cores' medians; None where no body has both.
    levels
        Whether the names agree.
    """

    model: ModelUsed
    compared: int
    only_first: int
    only_second: int
    median_dice: float | None
    median_difference_hu: float | None
    levels: LevelAgreement


@dataclass(frozen=True, kw_only=True)
class VertebraFinding:
    """One body: what was measured, and whether it counts.

    ``label`` is its value in the masks of :class:`CtImages`. ``rois`` holds an empty tuple where nothing could be measured; a number
    is never made up for an empty region. ``second_reader`` is None where there was no second reader.
    """

    label: int
    level: str | None
    level_certain: bool
    used: bool
    excluded_because: Reason | None
    rois: tuple[RoiMeasurement, ...]
    heights: BodyHeights | None
    centre_lps_mm: tuple[float, float, float]
    cranial: tuple[float, float, float]
    anterior: tuple[float, float, float]
    left: tuple[float, float, float]
    warnings: tuple[Notice, ...] = ()
    second_reader: SecondReader | None = None

    def roi(self, kind: RoiKind) -> RoiMeasurement | None:
        """The measurement of this kind, or None."""
        return next((roi for roi in self.rois if roi.kind is kind), None)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One edge of the band: attenuation at or below ``hu`` is on its low side. ``source`` names the publication or the site."""

    name: str
    hu: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Correction:
    """An optional, labelled correction: ``corrected_hu`` is shown beside the measured value, never instead of it."""

    name: str
    measured_hu: float
    corrected_hu: float
    source: str


@dataclass(frozen=True, kw_only=True)
class CtSummary:
    """The study in one line.

    ``level`` is the level the band rests on; level, attenuation and band are None where no level may carry one. ``statistic`` says which
    number of that level's region ``attenuation_hu`` is.
    """

    level: str | None
    roi_kind: RoiKind
    statistic: Literal["mean", "median"] = "median"
    attenuation_hu: float | None
    band: Band | None
    thresholds: tuple[Threshold, ...]
    recommendation: str
    corrections: tuple[Correction, ...] = ()


class ClassAgreement(StrEnum):
    """How far the class that a model predicts lies from what stands beside it.

    In CT that is the band of the measured attenuation (low beside osteoporosis, and so on), in DXA the class of the device's T-score.
    """

    AGREES = "agrees"
    ONE_STEP_APART = "one_step_apart"
    CONTRADICTS = "contradicts"
    """Normal beside osteoporosis, one way or the other."""


@dataclass(frozen=True, kw_only=True)
class DensityClass:
    """What a model predicts of the DXA class: a quantity of its own beside the attenuation or the device's values, which it never changes.

    Attributes
    ----------
    level
        The level, or the levels (``L1-L4``), that the model read or was to read.
    probabilities
        By class, from normal to osteoporosis, summing to 1; None where no model gave any. A class that the model does not know is absent.
    predicted
        The most probable class; None without probabilities.
    agreement
        Of that class with the band, or with the device's T-score; None without probabilities or without anything to compare with.
    model
        What gave the probabilities; None without them.
    because
        What they rest on, or in one sentence why there are none.
    """

    level: str
    probabilities: Mapping[str, float] | None
    predicted: str | None
    agreement: ClassAgreement | None
    model: ModelUsed | None
    because: str

    def __post_init__(self) -> None:
        if len({item is None for item in (self.probabilities, self.predicted, self.model)}) != 1:
            raise ValueError("probabilities, class and model are known together or not at all")
        if self.agreement is not None and self.predicted is None:
            raise ValueError("only a predicted class can agree with anything")

    @property
    def percentages(self) -> Mapping[str, int]:
        """Whole per cent by class, summing to 100 (largest remainders rounded up); empty without probabilities."""
        parts = {name: 100 * value for name, value in (self.probabilities or {}).items()}
        whole = {name: int(part) for name, part in parts.items()}
        short = sorted(parts, key=lambda name: whole[name] - parts[name])[: round(sum(parts.values())) - sum(whole.values())]
        return {name: value + (name in short) for name, value in whole.items()}


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """How the measured series was made; None where the header does not say."""

    series_instance_uid: str
    series_description: str | None
    manufacturer: str | None
    model_name: str | None
    kvp: float | None
    convolution_kernel: str | None
    slice_spacing_mm: float
    slice_thickness_mm: float | None
    pixel_spacing_mm: tuple[float, float]
    slices: int
    contrast_header: str | None
    contrast_phase: str
    """Estimated from the image: ``native``, ``arterial``, ``venous`` or ``unknown``."""
    contrast_because: str = ""


@dataclass(frozen=True, kw_only=True)
class CtImages:
    """What the result objects draw and encode. Masks hold a body's ``label`` or 0.

    Attributes
    ----------
    volume
        The measured volume (upright; equal to the source grid unless a tilt was resampled).
    bodies, core, ellipse
        uint8 masks of ``volume``'s shape.
    source_paths
        The DICOM files of the measured series, in the order of the source masks' first axis.
    source_bodies, source_core, source_ellipse
        The same masks on the pixel grid of the source files, shape (files, Rows, Columns).
    second_bodies
        The second reader's bodies, of ``volume``'s shape: a body that both see has the label of ``bodies``, one that the second reader
        alone sees a label that ``bodies`` does not use. None without a second reader.
    """

    volume: "Volume"
    bodies: NDArray[np.uint8]
    core: NDArray[np.uint8]
    ellipse: NDArray[np.uint8]
    source_paths: tuple[Path, ...]
    source_bodies: NDArray[np.uint8]
    source_core: NDArray[np.uint8]
    source_ellipse: NDArray[np.uint8]
    second_bodies: NDArray[np.uint8] | None = None


@dataclass(frozen=True, kw_only=True)
class SkippedFile:
    """A file or series that was not used. ``path`` is a file, or ``series <UID>`` for a whole series."""

    path: str
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything a workflow says about one study.

    ``reason`` is set exactly when ``outcome`` is ``refused``. A refused study may still list vertebrae (measured, but no level may
    carry a band). The first of ``models`` made the masks that were measured; a second reader, if there was one, follows and is described by
    ``second_reader``; then what predicted ``density_class``, which is None where no classifier is configured or there was nothing to read;
    then what read every vertebra for ``experts``, None where no such model is configured. ``opinions`` is None where there is
    nothing to compare.
    """

    study_instance_uid: str
    workflow: str
    outcome: Outcome
    reason: Reason | None
    warnings: tuple[Notice, ...] = ()
    acquisition: Acquisition | None = None
    vertebrae: tuple[VertebraFinding, ...] = ()
    summary: CtSummary | None = None
    level_because: str = ""
    skipped: tuple[SkippedFile, ...] = ()
    models: tuple[ModelUsed, ...] = ()
    second_reader: Agreement | None = None
    density_class: DensityClass | None = None
    experts: "VertebraReadings | None" = None
    opinions: "Opinions | None" = None
    images: CtImages | None = None
    dxa: "DxaFindings | None" = None
    cxr: "CxrFindings | None" = None
    timings_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.REFUSED) != (self.reason is not None):
            raise ValueError("a refused study has a reason, and only a refused study has one")
