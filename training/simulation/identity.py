"""Who a simulated patient is in DICOM: deterministic UIDs, and a name that nobody mistakes for a person's."""

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import date, timedelta

from training.simulation.ct import SimulatedCt
from training.simulation.parameters import ContrastPhase, PatientParameters

UID_ROOT = "2.25"
_EPOCH = date(2024, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The identifying attributes of a simulated study."""

    patient_name: str
    patient_id: str
    birth_date: str
    age: str
    study_date: str
    study_time: str
    accession_number: str
    study_instance_uid: str
    frame_of_reference_uid: str

    def uid(self, *parts: object) -> str:
        """A UID for a part of this study; the same parts give the same UID."""
        return uid_from(self.study_instance_uid, *parts)


def uid_from(*parts: object) -> str:
    """A UID under 2.25 (PS3.5 B.2) from what it names; no clock and no chance in it."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return f"{UID_ROOT}.{uuid.UUID(bytes=digest[:16], version=5).int}"


def identity(simulated: SimulatedCt, study_date: date | None = None) -> Identity:
    """The identity of a scan: the patient's from its parameters, the study's from patient, acquisition and date."""
    return study_identity(simulated.patient, "CT", simulated.acquisition, study_date=study_date)


def study_identity(patient: PatientParameters, modality: str, *what: object, study_date: date | None = None) -> Identity:
    """The identity of one study of a patient.

    Parameters
    ----------
    modality, what
        What was made: the study's UIDs follow from both, and so does the accession number.
    study_date
        The patient has ``age_years`` on :func:`first_study_date`, which is the default; the age on another date follows.
    """
    day = study_date or first_study_date(patient)
    study_uid = uid_from("study", modality, patient, *what, day.isoformat())
    tag = _tag(patient)
    return Identity(
        patient_name=f"SIMULATED^PATIENT {patient.seed}",
        patient_id=patient_id(patient),
        birth_date=birth_date(patient).strftime("%Y%m%d"),
        age=f"{whole_years(birth_date(patient), day):03d}Y",
        study_date=day.strftime("%Y%m%d"),
        study_time=f"{8 + patient.seed % 10:02d}{patient.seed % 60:02d}00",
        accession_number=f"SIM{tag}{study_uid[-6:]}",
        study_instance_uid=study_uid,
        frame_of_reference_uid=uid_from("frame of reference", study_uid),
    )


def patient_id(patient: PatientParameters) -> str:
    """The Patient ID, the same in every study of a patient."""
    return f"SIM{patient.seed:06d}-{_tag(patient)}"


def first_study_date(patient: PatientParameters) -> date:
    """A day of 2024 on which the patient has ``age_years``."""
    return _EPOCH + timedelta(days=patient.seed % 365)


def birth_date(patient: PatientParameters) -> date:
    """A day that makes the patient ``age_years`` old on :func:`first_study_date`."""
    day = first_study_date(patient)
    birthday = date(day.year - patient.age_years, day.month, min(day.day, 28))
    return birthday - timedelta(days=int(_tag(patient), 16) % 360)


def _person(patient: PatientParameters) -> PatientParameters:
    """The patient without what one visit to the scanner settles: contrast and how the patient lies."""
    return replace(patient, contrast=ContrastPhase.NATIVE, roll_deg=0.0, tilt_deg=0.0, yaw_deg=0.0)


def _tag(patient: PatientParameters) -> str:
    return hashlib.sha256(repr(_person(patient)).encode()).hexdigest()[:6].upper()


def whole_years(birth: date, day: date) -> int:
    """Age in years, as calendars count it."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
