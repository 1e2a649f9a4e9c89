"""Simulated patients as DICOM, with their truth."""

from training.simulation.ct import (
    AcquisitionParameters,
    ContrastPhase,
    FieldOfView,
    Kernel,
    LevelTruth,
    PatientParameters,
    SimulatedCt,
    Truth,
    simulate_ct,
)
from training.simulation.dicom import StudyOptions, write_dicom
from training.simulation.identity import Identity, identity
from training.simulation.patients import sample_patients

__all__ = [
    "AcquisitionParameters",
    "ContrastPhase",
    "FieldOfView",
    "Identity",
    "Kernel",
    "LevelTruth",
    "PatientParameters",
    "SimulatedCt",
    "StudyOptions",
    "Truth",
    "identity",
    "sample_patients",
    "simulate_ct",
    "write_dicom",
]
