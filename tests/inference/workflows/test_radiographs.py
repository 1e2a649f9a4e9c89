"""Chest radiographs by their headers alone: each refused for its own reason, the rest because the image is not at hand."""

import dataclasses
from typing import Any

import pytest

from inference.errors import ReasonCode, WarningCode
from inference.findings import Findings, Outcome
from inference.reading import InstanceHeader
from inference.workflows import WorkflowOptions, run_workflow
from tests.inference.headers import PLAIN

pytestmark = pytest.mark.unit

DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"


def film(**changes: Any) -> InstanceHeader:
    """A PA chest film unless told otherwise."""
    plain = dataclasses.replace(
        PLAIN,
        modality="DX",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        body_part_examined="CHEST",
        view_position="PA",
        series_description="",
    )
    return dataclasses.replace(plain, **changes)


def run(workflow: str, *headers: InstanceHeader) -> Findings:
    return run_workflow(workflow, headers, WorkflowOptions())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ReasonCode.UNREADABLE_PIXELS),
        ({"body_part_examined": "THORAX"}, ReasonCode.UNREADABLE_PIXELS),
        ({"body_part_examined": ""}, ReasonCode.UNREADABLE_PIXELS),
        ({"view_position": "AP"}, ReasonCode.UNREADABLE_PIXELS),
        ({"view_position": ""}, ReasonCode.UNREADABLE_PIXELS),
        ({"view_position": "", "series_description": "BILATERAL RIBS"}, ReasonCode.UNREADABLE_PIXELS),
        ({"view_position": "", "series_description": "CHEST PA AND LATERAL"}, ReasonCode.UNREADABLE_PIXELS),
        ({"view_position": "PA", "series_description": "Chest lateral"}, ReasonCode.UNREADABLE_PIXELS),
        ({"view_position": "LL"}, ReasonCode.NOT_FRONTAL),
        ({"view_position": "RL"}, ReasonCode.NOT_FRONTAL),
        ({"view_position": "LATERAL"}, ReasonCode.NOT_FRONTAL),
        ({"view_position": "", "series_description": "Chest lateral"}, ReasonCode.NOT_FRONTAL),
        ({"view_position": "", "protocol_name": "W_THORAX_LAT"}, ReasonCode.NOT_FRONTAL),
        ({"body_part_examined": "LEG"}, ReasonCode.WRONG_BODY_PART),
        ({"body_part_examined": "LSPINE"}, ReasonCode.WRONG_BODY_PART),
        ({"patient_species": "Canis lupus familiaris"}, ReasonCode.NOT_HUMAN),
        ({"patient_species": "human"}, ReasonCode.UNREADABLE_PIXELS),
        ({"patient_species": "Homo sapiens"}, ReasonCode.UNREADABLE_PIXELS),
        ({"presentation_intent_type": "FOR PROCESSING"}, ReasonCode.FOR_PROCESSING),
        ({"sop_class_uid": DX_FOR_PROCESSING}, ReasonCode.FOR_PROCESSING),
        ({"presentation_intent_type": "FOR PRESENTATION"}, ReasonCode.UNREADABLE_PIXELS),
    ],
)
def test_chest_radiograph(changes: dict[str, str], code: ReasonCode) -> None:
    found = run("cxr", film(**changes))
    assert found.outcome is Outcome.REFUSED
    assert found.workflow == "cxr"
    assert found.reason is not None
    assert found.reason.code is code
    assert [item.reason for item in found.skipped] == [found.reason]
    assert found.cxr is not None
    assert [(film.used, film.reason) for film in found.cxr.films] == [(False, found.reason)]


def test_identity_comes_first() -> None:
    found = run("cxr", film(), film(patient_id="SOMEBODY ELSE"))
    assert found.reason is not None
    assert found.reason.code is ReasonCode.IDENTITY_CONFLICT
    assert [notice.code for notice in run("dxa", film(patient_id="")).warnings] == [WarningCode.IDENTITY_INCOMPLETE]


def test_a_call_that_makes_no_sense_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no workflow 'mri'"):
        run("mri", film())
    with pytest.raises(ValueError, match="one study, not 0"):
        run("ct")
    with pytest.raises(ValueError, match="one study, not 2"):
        run("cxr", film(), film(study_instance_uid="9.9"))
