"""Who made a result: the equipment modules, and one Contributing Equipment item per algorithm (PS3.3 C.12.1)."""

import hashlib
from typing import Any, Final

from highdicom import AlgorithmIdentificationSequence, ContributingEquipment
from highdicom.sr import AlgorithmIdentification
from pydicom.sr.codedict import codes

from inference.findings import Findings, ModelUsed
from node.results import codes as concepts
from node.results.objects import ResultContext
from node.results.roles import CONTRIBUTION, role_of
from node.results.uids import derived_uid

MANUFACTURER: Final = "Osteon"
MODEL_NAME: Final = "Osteon"


def software_versions(context: ResultContext) -> list[str]:
    """Version, and the hash of the configuration that chose thresholds and regions.

    LO takes 64 characters; the hash is cut to 40 so that a padded value stays below them. Its whole length stands in the text items.
    """
    return [f"osteon {context.software_version}"[:60], f"config {context.config_sha256[:40]}"]


def device_serial_number(context: ResultContext, models: tuple[ModelUsed, ...]) -> str:
    """A serial number for software: the same exactly where version, configuration and models are the same."""
    parts = [context.software_version, context.config_sha256, *sorted(model.sha256 for model in models)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def device_uid(model: ModelUsed) -> str:
    """The UID of one algorithm; another one whenever its weights or code change."""
    return derived_uid("algorithm", model.sha256)


def contributing_equipment(findings: Findings, context: ResultContext) -> list[ContributingEquipment]:
    """One item per algorithm, with a Device UID made from its hash."""
    items = []
    for model in findings.models:
        item = ContributingEquipment(
            manufacturer=MANUFACTURER,
            purpose_of_reference=codes.DCM.ProcessingEquipment,
            manufacturer_model_name=model.name[:64],
            software_versions=[model.version[:64], *software_versions(context)],
            device_serial_number=model.sha256[:64],
            contribution_description=f"{CONTRIBUTION[role_of(model, findings)]} Trained on: {model.trained_on}"[:1024],
        )
        item.DeviceUID = device_uid(model)
        items.append(item)
    return items


def algorithm_identification(model: ModelUsed, context: ResultContext) -> AlgorithmIdentification:
    """TID 4019. One parameter string: dcmqi keeps only the first."""
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"sha256={model.sha256}; config sha256={context.config_sha256}; trained on: {model.trained_on}"],
    )


def segmentation_algorithm(model: ModelUsed) -> AlgorithmIdentificationSequence:
    """Algorithm Identification Macro (PS3.3 10.16) for the segments."""
    return AlgorithmIdentificationSequence(
        name=model.name[:64],
        family=concepts.concept(concepts.ARTIFICIAL_INTELLIGENCE),
        version=model.version[:64],
        source=MANUFACTURER,
        parameters={"sha256": model.sha256},
    )


def document_attributes(findings: Findings, context: ResultContext) -> dict[str, Any]:
    """What both structured reports say of their making: complete, but unverified and preliminary, for no person has read them yet."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": software_versions(context)[0],
        "device_serial_number": device_serial_number(context, findings.models),
        "is_complete": True,
        "is_final": False,
        "is_verified": False,
        "contributing_equipment": contributing_equipment(findings, context),
        "coding_schemes": concepts.coding_schemes(),
    }
