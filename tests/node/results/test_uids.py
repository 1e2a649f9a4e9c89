"""UIDs follow from the input alone, and change with everything that may change a result."""

import uuid
from dataclasses import replace

import pytest

from inference.errors import ReasonCode
from node.results import ResultContext
from node.results.uids import derived_uid, result_key
from tests.node.results.example import CONTEXT, MODEL, Example, refused

pytestmark = pytest.mark.unit


def test_derived_uid_is_a_uuid_under_2_25() -> None:
    uid = derived_uid("a", "b")
    assert uid == derived_uid("a", "b")
    assert len(uid) <= 64
    root, number = uid.rsplit(".", 1)
    assert root == "2.25"
    value = uuid.UUID(int=int(number))
    assert value.version == 8
    assert value.variant == uuid.RFC_4122


@pytest.mark.parametrize("other", [("a", "c"), ("b", "a"), ("ab",), ("a", "b", "")])
def test_derived_uid_differs(other: tuple[str, ...]) -> None:
    assert derived_uid(*other) != derived_uid("a", "b")


def test_the_key_ignores_order_and_repetition_of_the_input(example: Example) -> None:
    assert result_key(example.findings, ["1.2", "1.3"], CONTEXT) == result_key(example.findings, ["1.3", "1.2", "1.3"], CONTEXT)


def test_the_key_changes_with_everything_that_may_change_a_result(example: Example) -> None:
    findings = example.findings
    other_model = replace(findings, models=(replace(MODEL, sha256="0" * 64),))
    late = refused(findings, code=ReasonCode.OUT_OF_TIME)
    keys = [
        result_key(findings, ["1.2"], CONTEXT),
        result_key(findings, ["1.2", "1.3"], CONTEXT),
        result_key(other_model, ["1.2"], CONTEXT),
        result_key(late, ["1.2"], CONTEXT),
        result_key(refused(findings), ["1.2"], CONTEXT),
        result_key(findings, ["1.2"], ResultContext(software_version="0.2.0", config_sha256=CONTEXT.config_sha256)),
        result_key(findings, ["1.2"], ResultContext(software_version="0.1.0", config_sha256="f" * 64)),
    ]
    assert len({key.digest for key in keys}) == len(keys)
    assert keys[0].uid("seg instance") != keys[0].uid("sr instance")
