"""Secondary Capture (PS3.3 A.8.1) of the page, for viewers that show pictures alone."""

from typing import Final

import numpy as np
from highdicom.sc import SCImage
from PIL import Image

from inference.findings import Findings
from node.results import codes, equipment, wording
from node.results.density_class import simulated_notice
from node.results.objects import ResultContext
from node.results.source import Source
from node.results.uids import ResultKey

_DRAWN_FROM: Final = {"ct": "a CT series", "cxr": "a chest radiograph", "dxa": "a DXA image"}
SERIES_DESCRIPTION: Final = "Osteon bone density page: research use, does not replace DXA"


def build_capture(
    page: Image.Image, findings: Findings, source: Source, key: ResultKey, context: ResultContext, series_number: int
) -> SCImage:
    """The page as a grey-scale image.

    The page itself shows neither the patient's name nor an ID or date, so it has no burned-in annotation in the sense of PS3.3
    C.7.6.1.1. A densitometer's picture or a film may have some, which is blanked where it is found; so nothing is claimed of its page.
    """
    capture = SCImage(
        pixel_array=np.asarray(page.convert("L"), dtype=np.uint8),
        photometric_interpretation="MONOCHROME2",
        bits_allocated=8,
        coordinate_system="PATIENT",
        # A page of several views has no one direction: left empty, as PS3.3 C.7.6.1.1.1 allows where it does not apply.
        patient_orientation=("L", "F"),
        study_instance_uid=source.reference.StudyInstanceUID,
        series_instance_uid=key.uid("picture series"),
        series_number=series_number,
        sop_instance_uid=key.uid("picture instance"),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=equipment.MODEL_NAME,
        software_versions=equipment.software_versions(context)[0],
        device_serial_number=equipment.device_serial_number(context, findings.models),
        series_description=SERIES_DESCRIPTION,
        contributing_equipment=equipment.contributing_equipment(findings, context),
        coding_schemes=codes.coding_schemes(),
    )
    capture.add_new("PatientOrientation", "CS", None)
    capture.BodyPartExamined = body_part_examined(findings)
    capture.ConversionType = "WSD"
    if findings.dxa is None and findings.cxr is None:
        capture.BurnedInAnnotation = "NO"
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.ImageComments = " ".join(filter(None, (wording.research_notice(), simulated_notice(findings))))
    capture.DerivationDescription = f"Page drawn from {_DRAWN_FROM[findings.workflow]} by Osteon"
    capture.WindowCenter, capture.WindowWidth = "127.5", "256"
    return capture


def body_part_examined(findings: Findings) -> str:
    """Defined term of PS3.16 Annex L for the levels shown; the whole spine where a level has no certain name."""
    if findings.cxr is not None:
        return "CHEST"
    if findings.dxa is not None:
        return "LSPINE"
    named = [v.level for v in findings.vertebrae if v.level is not None and v.level_certain]
    if len(named) < len(findings.vertebrae):
        return "SPINE"
    thoracic, lumbar = (any(level.startswith(letter) for level in named) for letter in "TL")
    return "TLSPINE" if thoracic and lumbar else "TSPINE" if thoracic else "LSPINE"
