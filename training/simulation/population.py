"""What a cohort of simulated patients is made of: shares, rates and means, each a parameter with its source.

Where no source gives a figure, it is an assumption and says so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from training.errors import TrainingError
from training.simulation.parameters import ContrastPhase, FieldOfView
from training.simulation.vendors import Vendor

AUSTINSPINE_PATIENTS = 389
AUSTINSPINE_CLASSES = (202, 128, 59)
"""Normal, osteopenia, osteoporosis. MedConv (arXiv 2502.00631) states 389 patients, a long tail and that normal cases predominate; its
counts stand in a figure alone. These are assumed: they leave osteoporosis enough patients for the test part of 26 a class which the
paper's tables imply (accuracy equals macro sensitivity in every row of 78 patients)."""


def check_shares(name: str, shares: Mapping[str, float], known: tuple[str, ...] | None = None) -> None:
    """Refuse shares that are negative, all zero, or of something unknown.

    Raises
    ------
    TrainingError
        Naming the shares.
    """
    unknown = [key for key in shares if known is not None and key not in known]
    if unknown:
        raise TrainingError(f"{name}: {', '.join(unknown)} is unknown; known: {', '.join(known or ())}")
    if not shares or min(shares.values()) < 0 or not 0 < sum(shares.values()) < math.inf:
        raise TrainingError(f"{name}: shares are not negative, and at least one is positive")


@dataclass(frozen=True, kw_only=True)
class Population:
    """Who comes.

    Attributes
    ----------
    t_mean, t_sd, t_range
        The normal distribution of T-scores, L1-L4, from whose parts each class draws; MedConv's Table I lets osteoporosis end at -4; the
        simulated skeleton has hardly any mineral left in its trabecular bone below -3.8.
    female_share, age_mean, age_sd, age_range
        Before bone density is known; age and sex of a patient are then drawn given the T-score.
    fracture_rates
        Share of patients with a fractured vertebra, by class (assumed; the order follows every cohort with spine films).
    cement_share
        Share of the fractured whose fracture was cemented (assumed).
    screw_rate, hip_rate, focus_rate, scoliosis_rate
        Pedicle screws in the two lowest levels, a metal hip, a sclerotic focus, a lumbar curve of 8 to 16 degrees (assumed).
    lumbar_counts
        Shares of four, five and six lumbar vertebrae (assumed from the usual 4 to 12 % of transitional vertebrae).
    """

    t_mean: float = -0.9
    t_sd: float = 1.4
    t_range: tuple[float, float] = (-3.8, 2.2)
    female_share: float = 0.62
    age_mean: float = 62.0
    age_sd: float = 13.0
    age_range: tuple[int, int] = (22, 94)
    fracture_rates: tuple[float, float, float] = (0.03, 0.08, 0.25)
    cement_share: float = 0.12
    screw_rate: float = 0.015
    hip_rate: float = 0.03
    focus_rate: float = 0.02
    scoliosis_rate: float = 0.08
    lumbar_counts: Mapping[str, float] = field(default_factory=lambda: {"5": 0.92, "6": 0.05, "4": 0.03})

    def __post_init__(self) -> None:
        single = (self.female_share, self.cement_share, self.screw_rate, self.hip_rate, self.focus_rate, self.scoliosis_rate)
        rates = (*single, *self.fracture_rates)
        if not all(0.0 <= rate <= 1.0 for rate in rates):
            raise TrainingError("a rate of the population lies between 0 and 1")
        if self.t_sd <= 0 or self.age_sd <= 0 or self.t_range[0] >= self.t_range[1] or self.age_range[0] >= self.age_range[1]:
            raise TrainingError("standard deviations are positive, and ranges are (lowest, highest)")
        check_shares("lumbar_counts", self.lumbar_counts, ("4", "5", "6"))


@dataclass(frozen=True, kw_only=True)
class Scanners:
    """How patients are scanned: shares of phases, tube voltages, fields of view, slice distances and vendors, all assumed.

    ``contrast_unsaid`` is the share of contrast scans whose header does not say so, ``extra_series`` that of studies with a localizer and a
    screen capture beside the axial series. Films may be portable, CR, MONOCHROME1, without pixel spacing (CR alone) or without a view in
    the header; ``other_regions`` is the share of DXA studies, by device, that hold hips, knee, whole body and a lateral spine as well.
    """

    contrast: Mapping[str, float] = field(default_factory=lambda: {"native": 0.45, "venous": 0.45, "arterial": 0.10})
    kvp: Mapping[str, float] = field(default_factory=lambda: {"120": 0.72, "100": 0.20, "140": 0.05, "80": 0.03})
    fields: Mapping[str, float] = field(default_factory=lambda: {"abdomen": 0.8, "trunk": 0.1, "chest": 0.1})
    slices_mm: Mapping[str, float] = field(default_factory=lambda: {"1": 0.15, "1.25": 0.15, "2": 0.15, "2.5": 0.10, "3": 0.25, "5": 0.20})
    vendors: Mapping[str, float] = field(default_factory=lambda: {"siemens": 0.35, "ge": 0.30, "philips": 0.20, "canon": 0.15})
    sharp_share: float = 0.12
    feet_first_share: float = 0.1
    contrast_unsaid: float = 0.3
    extra_series: float = 0.25
    noise_sd_hu: tuple[float, float] = (7.0, 24.0)
    portable_films: float = 0.2
    cr_films: float = 0.35
    inverted_films: float = 0.15
    unsized_films: float = 0.3
    films_without_view: float = 0.15
    other_regions: Mapping[str, float] = field(default_factory=lambda: {"GE Lunar": 0.3})

    def __post_init__(self) -> None:
        check_shares("contrast", self.contrast, tuple(ContrastPhase))
        check_shares("kvp", self.kvp, ("80", "100", "120", "140"))
        check_shares("fields", self.fields, tuple(FieldOfView))
        check_shares("slices_mm", self.slices_mm)
        check_shares("vendors", self.vendors, tuple(Vendor))
        ct = (self.sharp_share, self.feet_first_share, self.contrast_unsaid, self.extra_series)
        films = (self.portable_films, self.cr_films, self.inverted_films, self.unsized_films, self.films_without_view)
        for share in (*ct, *films, *self.other_regions.values()):
            if not 0.0 <= share <= 1.0:
                raise TrainingError("a share of the scanners lies between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class CohortParameters:
    """A cohort.

    Attributes
    ----------
    prevalence
        Relative shares of normal, osteopenia and osteoporosis; they need not sum to 1.
    devices
        Densitometers and their shares. A patient's class is the WHO class of the true L1-L4 T-score on the scale of the own device.
    dxa_gap_days, film_gap_days
        The DXA and the chest film lie up to so many days before or after the CT.
    """

    name: str = "austinspine"
    prevalence: tuple[float, float, float] = AUSTINSPINE_CLASSES
    devices: Mapping[str, float] = field(default_factory=lambda: {"Hologic": 1.0})
    dxa_gap_days: int = 170
    film_gap_days: int = 170
    population: Population = field(default_factory=Population)
    scanners: Scanners = field(default_factory=Scanners)

    def __post_init__(self) -> None:
        if len(self.prevalence) != 3 or min(self.prevalence) < 0 or not 0 < sum(self.prevalence) < math.inf:
            raise TrainingError("prevalence: three shares, normal, osteopenia and osteoporosis; none negative, not all zero")
        check_shares("devices", self.devices)


COHORTS: Mapping[str, CohortParameters] = MappingProxyType(
    {
        "austinspine": CohortParameters(),
        "multidevice": CohortParameters(
            # Patients per device: Table 1 of the TP-SwAV paper, sites A to D (2225 + 193, 1120 and 359).
            name="multidevice",
            devices={"Hologic": 2418.0, "GE Lunar": 1120.0, "MEDIX": 359.0},
        ),
        "balanced": CohortParameters(name="balanced", prevalence=(1.0, 1.0, 1.0)),
    }
)
"""Named cohorts of the command line."""
