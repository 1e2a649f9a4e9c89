"""Small simulated studies that several tests share, made once a session."""

from functools import lru_cache
from pathlib import Path

from training.simulation.ct import AcquisitionParameters, FieldOfView, PatientParameters, SimulatedCt, simulate_ct
from training.simulation.dicom import write_dicom


@lru_cache(maxsize=4)
def simulated_ct(seed: int = 2, trabecular_hu: float = 95.0, field_of_view: FieldOfView = FieldOfView.ABDOMEN) -> SimulatedCt:
    """A patient on a coarse grid: a few seconds to make and to measure."""
    patient = PatientParameters(seed=seed, trabecular_hu=trabecular_hu, body_scale=1.0)
    acquisition = AcquisitionParameters(rows=160, columns=160, pixel_spacing_mm=2.4, slice_spacing_mm=2.5, field_of_view=field_of_view)
    return simulate_ct(patient, acquisition)


def write_study(folder: Path, **parameters: object) -> Path:
    """The study as DICOM files in ``folder``."""
    write_dicom(simulated_ct(**parameters), folder)  # type: ignore[arg-type]  # names are checked at the call
    return folder
