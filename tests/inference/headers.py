"""Headers of a plain CT series in memory, for tests that need no files."""

from dataclasses import replace
from typing import Any

from inference.reading import InstanceHeader

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"

PLAIN = InstanceHeader(
    path=None,
    sop_instance_uid="1.2.3.4.0",
    sop_class_uid=CT_IMAGE,
    series_instance_uid="1.2.3.1",
    study_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CT",
    image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
    patient_id="P1",
    patient_name="Doe^Jane",
    patient_birth_date="19500102",
    patient_sex="F",
    patient_species="",
    accession_number="A1",
    study_date="20260102",
    study_description="CT abdomen",
    series_description="ABDOMEN",
    series_number=2,
    instance_number=1,
    protocol_name="",
    performed_procedure_step_description="",
    body_part_examined="ABDOMEN",
    view_position="",
    presentation_intent_type="",
    manufacturer="SIEMENS",
    manufacturer_model_name="",
    rows=512,
    columns=512,
    number_of_frames=None,
    acquisition_number=1,
    convolution_kernel="B30f",
    kvp=120.0,
    slice_thickness_mm=3.0,
    image_position=(-180.0, -180.0, 0.0),
    image_orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    pixel_spacing_mm=(0.7, 0.7),
    rescale_slope=1.0,
    rescale_intercept=-1024.0,
    rescale_type="HU",
)
"""One axial slice at z = 0."""


def ct_stack(z_mm: list[float], **changes: Any) -> tuple[InstanceHeader, ...]:
    """Slices at these heights; Instance Numbers and SOP Instance UIDs count from 1 in the series."""
    plain = replace(PLAIN, **changes)
    return tuple(
        replace(
            plain,
            image_position=(-180.0, -180.0, z),
            instance_number=index + 1,
            sop_instance_uid=f"{plain.series_instance_uid}.{plain.acquisition_number}.{index + 1}",
        )
        for index, z in enumerate(z_mm)
    )


def evenly(count: int, step_mm: float = 3.0, start_mm: float = 0.0) -> list[float]:
    """Heights of a regular stack."""
    return [start_mm + index * step_mm for index in range(count)]
