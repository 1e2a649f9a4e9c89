"""Parameters of the CT workflow as plain frozen data. The node fills them from ``config.yaml``; the defaults here are the same."""

from dataclasses import dataclass, field

from inference.bundles import BundleSource
from inference.ct.opinions import OpinionSource
from inference.ct.segmentation.options import MaskOptions, TotalSegmentatorOptions
from inference.findings import RoiKind, Threshold


@dataclass(frozen=True, kw_only=True)
class CalibrationEntry:
    """HU to vBMD for one scanner at one tube voltage: ``vbmd_mg_cm3 = slope * hu + intercept``.

    ``device_serial_number`` None means that the entry holds for every scanner of this model. ``source`` names phantom and date,
    ``material`` the phantom's mineral (K2HPO4 and HA give different numbers).
    """

    manufacturer: str
    model_name: str
    kvp: float
    slope: float
    intercept: float
    material: str
    source: str
    device_serial_number: str | None = None


def _high_sensitivity() -> Threshold:
    return Threshold(name="high sensitivity", hu=160.0, source="Pickhardt 2013, L1, 90 % sensitive for DXA osteoporosis")


def _high_specificity() -> Threshold:
    return Threshold(name="high specificity", hu=110.0, source="Pickhardt 2013, L1, more than 90 % specific")


@dataclass(frozen=True, kw_only=True)
class CtOptions:
    """What a site may choose about the CT workflow.

    Attributes
    ----------
    segmenter
        Name understood by ``inference.ct.segmentation.get_segmenter``.
    masks, totalsegmentator
        What the segmenters of these names need; None where the site has not set them up.
    bundles
        Where networks come from. Where ``bundles.allow_simulated``, the second reader may measure alone where the classical method finds
        no spine, and a classifier that was trained on simulated patients may predict.
    classifier
        The bundle that predicts the density class beside the measured attenuation; None for none.
    experts, densitometer
        The bundle that reads every vertebra (None for none), and the make on whose scale it says density (None: the bundle's first).
    leading
        Whose opinion leads where several are given.
    roi
        The region that carries the band. Both kinds are always measured.
    core_erosion_mm
        Erosion of the body for :attr:`~inference.findings.RoiKind.CORE`.
    high_sensitivity, high_specificity
        The upper and the lower edge of the band.
    fallback_levels
        Levels that may carry the band, in this order, when L1 is in view and certain but excluded.
    height_loss_exclude, height_loss_warn
        Height ratio losses (0.25 is 25 %) above which a body is excluded or gets a warning.
    max_noise_hu
        A level whose median may err by more than this through noise alone (90 times in 100 it errs by less) is excluded.
    max_slice_spacing_mm, warn_slice_spacing_mm
        Slices further apart are refused, or get a warning.
    contrast_correction, kvp_correction
        Whether a labelled corrected value is shown beside the measured one.
    calibration
        One entry per scanner and tube voltage; without a matching one there is no vBMD.

    Raises
    ------
    ValueError
        The two thresholds, or the two height losses, contradict each other.
    """

    segmenter: str = "both"
    bundles: BundleSource = field(default_factory=BundleSource)
    classifier: str | None = "medconv"
    experts: str | None = "vertebra-experts"
    densitometer: str | None = None
    leading: OpinionSource = OpinionSource.MEASUREMENT
    masks: MaskOptions | None = None
    totalsegmentator: TotalSegmentatorOptions | None = None
    roi: RoiKind = RoiKind.CORE
    core_erosion_mm: float = 6.0
    high_sensitivity: Threshold = field(default_factory=_high_sensitivity)
    high_specificity: Threshold = field(default_factory=_high_specificity)
    fallback_levels: tuple[str, ...] = ("L2", "T12")
    height_loss_exclude: float = 0.25
    height_loss_warn: float = 0.20
    max_noise_hu: float = 5.0
    max_slice_spacing_mm: float = 5.0
    warn_slice_spacing_mm: float = 3.0
    contrast_correction: bool = False
    kvp_correction: bool = False
    calibration: tuple[CalibrationEntry, ...] = ()

    def __post_init__(self) -> None:
        if self.high_specificity.hu >= self.high_sensitivity.hu:
            raise ValueError("the high-specificity threshold must lie below the high-sensitivity threshold")
        if self.height_loss_warn > self.height_loss_exclude:
            raise ValueError("height_loss_warn must not exceed height_loss_exclude")

    @property
    def thresholds(self) -> tuple[Threshold, Threshold]:
        """The band's edges, low edge first."""
        return (self.high_specificity, self.high_sensitivity)
