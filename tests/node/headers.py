"""Headers for tests of routing and completion."""

from dataclasses import replace

from inference.reading import InstanceHeader

BLANK = InstanceHeader(
    path=None,
    sop_instance_uid="1.2.3.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    series_instance_uid="1.2.3",
    study_instance_uid="1.2",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CT",
    image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
    patient_id="P1",
    patient_name="A^B",
    patient_birth_date="",
    patient_sex="",
    patient_species="",
    accession_number="",
    study_date="20260101",
    study_description="",
    series_description="",
    series_number=1,
    instance_number=1,
    protocol_name="",
    performed_procedure_step_description="",
    body_part_examined="",
    view_position="",
    laterality="",
    photometric_interpretation="MONOCHROME2",
    presentation_intent_type="",
    manufacturer="",
    manufacturer_model_name="",
    rows=512,
    columns=512,
    number_of_frames=None,
    burned_in_annotation="",
)


def header(**values: object) -> InstanceHeader:
    """A blank CT header with some values set."""
    return replace(BLANK, **values)  # type: ignore[arg-type]  # replace checks the names at run time
