"""Reading DICOM files from disk: headers as plain data, studies out of loose files. Imports pydicom alone, never torch or SimpleITK."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class InstanceHeader:
    """The attributes of one instance that routing and series choice look at. Empty strings and empty tuples mean absent or empty.

    ``uids_derived`` is True where Study, Series or SOP Instance UID was empty in the data set and was derived (see
    :func:`read_header`).
    """

    path: Path | None
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    image_type: tuple[str, ...]
    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    patient_species: str
    accession_number: str
    study_date: str
    study_description: str
    series_description: str
    series_number: int | None
    instance_number: int | None
    protocol_name: str
    performed_procedure_step_description: str
    body_part_examined: str
    view_position: str
    laterality: str
    photometric_interpretation: str
    presentation_intent_type: str
    manufacturer: str
    manufacturer_model_name: str
    rows: int | None
    columns: int | None
    number_of_frames: int | None
    burned_in_annotation: str
    uids_derived: bool = False
