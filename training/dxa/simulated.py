"""Images of simulated patients: scanned by a simulated densitometer, exported as its maker does, read and cropped as the node does.

Who the patients are is the cohort's (:mod:`training.simulation.cohort`): scoliosis, fractures, cement, screws, four to six lumbar bodies.
The class is that of the T-score which the device itself reads off the sound levels of L1-L4, as a densitometry report states it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.dxa.pixels import DxaPixels, read_pixels
from inference.errors import Refusal
from training.data.labels import LABELS, who_label
from training.dxa.cases import CROP_VERSION, Case, Prepared, crops
from training.errors import TrainingError
from training.preparing import Skipped, gathered, kept
from training.simulation.body import paint_anatomy
from training.simulation.cohort import CohortPatient, sample_cohort
from training.simulation.density import usable_levels
from training.simulation.population import CohortParameters, Population
from training.simulation.spine import build_spine
from training.simulation.xray.devices import DEVICES
from training.simulation.xray.dxa import DxaParameters, SimulatedDxa, scan_painted, scan_range_mm
from training.simulation.xray.dxa_dicom import AP_SPINE, DxaOptions, write_dxa
from training.transforms.cache import Arrays

Picture = NDArray[np.uint8]

VERSION = 1
"""Counted up when the painting changes, so that no cached case is out of date."""
_MARGIN_MM = 5.0
"""Painted above and below what is scanned."""
PAPER_PATIENTS, PAPER_SHARES = 174, (60.0, 0.0, 114.0)

_CLINIC = Population(t_mean=-1.6, t_sd=1.7, scoliosis_rate=0.2, screw_rate=0.04, fracture_rates=(0.05, 0.1, 0.25))
"""Who is sent for densitometry: older and thinner bones than the population's, more curves and implants (assumed)."""
_THREE = dict.fromkeys(DEVICES, 1.0)

COHORTS_OF_DXA: Mapping[str, CohortParameters] = MappingProxyType(
    {
        "clinic": CohortParameters(name="clinic", prevalence=(7.0, 3.0, 2.0), devices=_THREE, population=_CLINIC),
        "paper": CohortParameters(name="paper", prevalence=PAPER_SHARES, devices=_THREE, population=_CLINIC),
    }
)
"""``clinic``: long-tailed, three devices alike. ``paper``: the paper's 60 normal to 114 osteoporotic, nobody between. Shares are aimed at:
the attenuation is the cohort's first guess, and what the device reads decides the class."""


@dataclass(frozen=True, kw_only=True)
class SimulatedOptions:
    """A cohort to learn from.

    Attributes
    ----------
    quanta
        Range (per mm2, either beam) from which each scan's is drawn: fast scans are noisy.
    window
        How far the operator's display window strays: grey becomes ``gain * grey + offset``, the gain in 1 ± the first, the offset in ± the
        second. An image's grey is no calibrated density on any real export (assumed size).
    scans
        Devices that scan each patient: the own one, and others of the cohort, as in a study of cross-calibration. All images of a patient
        share a part.
    paint_spacings_mm
        Voxels of the painted body, one drawn for each patient: sharp images and blurred ones.
    """

    patients: int = PAPER_PATIENTS
    seed: int = 50
    cohort: CohortParameters = field(default_factory=lambda: COHORTS_OF_DXA["clinic"])
    quanta: tuple[float, float] = (8e5, 6e6)
    window: tuple[float, float] = (0.06, 0.02)
    scans: int = 3
    paint_spacings_mm: tuple[float, ...] = (2.5, 2.5, 2.5, 1.5)

    def __post_init__(self) -> None:
        if (
            min(self.patients, self.scans) < 1
            or not 0 < self.quanta[0] <= self.quanta[1]
            or min(self.window) < 0
            or min(self.paint_spacings_mm) <= 0
        ):
            raise TrainingError(
                "a cohort has a patient, a patient a scan, quanta are a range above 0, windows stray by 0 or more, voxels have a size"
            )

    def people(self) -> list[CohortPatient]:
        """Who they are; the first ones stay the same when more are asked for."""
        return sample_cohort(self.patients, self.seed, self.cohort)

    def devices(self, person: CohortPatient) -> tuple[str, ...]:
        """Whose scans of a patient are taken, the own device's first."""
        return self.every_device(person)[: self.scans]

    def every_device(self, person: CohortPatient) -> tuple[str, ...]:
        """All devices that there are, the own one first: a body that is painted is scanned by all."""
        return (person.device, *(device for device, share in self.cohort.devices.items() if share > 0 and device != person.device))

    def plain(self, person: CohortPatient) -> dict[str, Any]:
        """For the key of a patient's cached scans."""
        how = {"quanta": list(self.quanta), "window": list(self.window), "spacings": list(self.paint_spacings_mm)}
        return {"person": repr((person.patient, self.every_device(person))), "simulated": VERSION, **how}

    def words(self) -> str:
        """The cohort for a person."""
        shares = ", ".join(f"{label.value} {share:g}" for label, share in zip(LABELS, self.cohort.prevalence, strict=True))
        devices = ", ".join(self.cohort.devices)
        return (
            f"{self.patients} simulated patients of the cohort '{self.cohort.name}' (seed {self.seed}; shares aimed at: {shares}), "
            f"each scanned by {self.scans} of {devices}, exported and cropped as the node does; the class is that of the T-score "
            "which the simulated device reads off the sound levels of L1-L4"
        )


def prepare_simulated(options: SimulatedOptions, cache: Path, *, jobs: int = 1, progress: bool = True) -> Prepared:
    """Cases of a simulated cohort, in its order.

    Parameters
    ----------
    cache
        Folder of painted cases; runs may share one.
    jobs
        Processes. The cases do not depend on it.

    Raises
    ------
    TrainingError
        A process died.
    """
    found = gathered(partial(_cases, options=options, cache=cache), options.people(), "scanning patients", jobs, progress=progress)
    every = [one for scans in found for one in scans]
    return Prepared(
        cases=tuple(one for one in every if isinstance(one, Case)), skipped=tuple(one for one in every if isinstance(one, Skipped))
    )


def _cases(person: CohortPatient, options: SimulatedOptions, cache: Path) -> tuple[Case | Skipped, ...]:
    """One for each device."""
    name = f"simulated-{person.patient.seed}"
    told = options.plain(person) | {"crop": CROP_VERSION, "devices": list(options.devices(person))}
    found = kept(cache, (), told, lambda: cropped(scans_of(person, options, cache), options.devices(person)))
    if isinstance(found, str):
        return (Skipped(patient=name, because=found),)
    return tuple(_case(name, device, found) for device in options.devices(person))


def _case(name: str, device: str, found: Arrays) -> Case | Skipped:
    if f"{device} because" in found:
        return Skipped(patient=name, because=f"{found[f'{device} because'].tobytes().decode()} ({device})")
    t_score = float(found[f"{device} t_score"])
    image, large = found[f"{device} image"], found[f"{device} large"]
    return Case(patient=name, image=image, large=large, label=who_label(t_score), t_score=t_score, device=device)


def scans_of(person: CohortPatient, options: SimulatedOptions, cache: Path) -> Arrays:
    """:func:`scanned`, kept in ``cache``: another crop paints nobody again.

    Raises
    ------
    TrainingError
        The patient has no T-score; that is kept, too.
    """
    found = kept(cache, (), options.plain(person) | {"kept": "scans"}, lambda: scanned(person, options))
    if isinstance(found, str):
        raise TrainingError(found)
    return found


def scanned(person: CohortPatient, options: SimulatedOptions) -> Arrays:
    """One patient's scans by every device, as read from the DICOM that its maker writes. The same arguments give the same bytes.

    Returns
    -------
    dict
        ``DEVICE picture``, uint8 (rows, columns), bone bright; ``DEVICE boxes``, int64 (4, 4): first row, first column, last row and last
        column of L1 to L4 on it; ``DEVICE t_score``, what the device reads.

    Raises
    ------
    TrainingError
        Fewer than two sound levels: there is no T-score.
    """
    rng = np.random.default_rng((person.patient.seed, 83))
    spacing_mm = float(rng.choice(options.paint_spacings_mm))
    levels = usable_levels(person.patient)
    low, high = scan_range_mm(build_spine(person.patient), person.patient)
    painted = paint_anatomy(person.patient, spacing_mm=spacing_mm, z_range_mm=(low - _MARGIN_MM, high + _MARGIN_MM))
    out: dict[str, NDArray[Any]] = {}
    for device in options.every_device(person):
        quanta = float(np.exp(rng.uniform(*np.log(options.quanta))))
        scan = scan_painted(painted, DxaParameters(device=device, paint_spacing_mm=spacing_mm, quanta_per_mm2=quanta))
        out[f"{device} picture"] = exported(replace(scan, image=_windowed(scan, options.window, rng)))
        out[f"{device} boxes"] = np.array([level.box for level in scan.levels], dtype=np.int64)
        out[f"{device} t_score"] = np.array(device_t_score(scan, levels))
    return out


def exported(scan: SimulatedDxa) -> Picture:
    """The AP spine through DICOM as the device's maker writes it, read as the node does: uint8 (rows, columns)."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_dxa(scan, Path(folder), DxaOptions(report_page=False))
        return np.asarray(np.rint(read_pixels(files[AP_SPINE]).grey * 255), dtype=np.uint8)


def pixels_of(picture: Picture) -> DxaPixels:
    """A picture of :func:`scanned` as the node reads it from its file."""
    grey = np.asarray(picture.astype(np.float64) / 255, dtype=np.float32)
    return DxaPixels(grey=grey, coloured=np.zeros(picture.shape, dtype=np.bool_), said="MONOCHROME2, 8 bit")


def cropped(scans: Arrays, devices: Sequence[str]) -> Arrays:
    """Both crops of a patient's scans as the node makes them.

    Returns
    -------
    dict
        ``DEVICE image``, ``DEVICE large`` and ``DEVICE t_score``; ``DEVICE because`` (text as bytes) for an image that the node refuses.
    """
    out: dict[str, NDArray[Any]] = {}
    for device in devices:
        try:
            out |= {f"{device} {name}": array for name, array in crops(pixels_of(scans[f"{device} picture"])).items()}
            out[f"{device} t_score"] = scans[f"{device} t_score"]
        except Refusal as refusal:
            out[f"{device} because"] = np.frombuffer(" ".join(str(refusal).split()).encode(), dtype=np.uint8)
    return out


def device_t_score(scan: SimulatedDxa, levels: tuple[str, ...]) -> float:
    """The device's T-score of several levels together: their mineral over their area, against its own reference."""
    counted = [level for level in scan.levels if level.level in levels]
    bmd = sum(level.bmc_g for level in counted) / sum(level.area_cm2 for level in counted)
    return scan.acquisition.densitometer.t_score(bmd)


def _windowed(scan: SimulatedDxa, window: tuple[float, float], rng: np.random.Generator) -> NDArray[np.uint8]:
    gain, offset = 1 + window[0] * rng.uniform(-1, 1), 255 * window[1] * rng.uniform(-1, 1)
    return np.asarray(np.clip(np.rint(scan.image * gain + offset), 0, 255), dtype=np.uint8)
