"""Who a simulated patient is in DICOM: deterministic UIDs, and a name that nobody mistakes for a person's."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import date, timedelta

from training.simulation.ct import SimulatedCt

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


def identity(simulated: SimulatedCt) -> Identity:
    """The identity of a scan: the patient's from its parameters, the study's from patient and acquisition."""
    patient = simulated.patient
    tag = hashlib.sha256(repr(patient).encode()).hexdigest()[:6].upper()
    study_uid = uid_from("study", patient, simulated.acquisition)
    day = _EPOCH + timedelta(days=patient.seed % 365)
    return Identity(
        patient_name=f"SIMULATED^PATIENT {patient.seed}",
        patient_id=f"SIM{patient.seed:06d}-{tag}",
        birth_date=f"{day.year - patient.age_years - 1:04d}1231" if day.month < 12 else f"{day.year - patient.age_years:04d}0101",
        age=f"{patient.age_years:03d}Y",
        study_date=day.strftime("%Y%m%d"),
        study_time=f"{8 + patient.seed % 10:02d}{patient.seed % 60:02d}00",
        accession_number=f"SIM{tag}{study_uid[-6:]}",
        study_instance_uid=study_uid,
        frame_of_reference_uid=uid_from("frame of reference", study_uid),
    )
