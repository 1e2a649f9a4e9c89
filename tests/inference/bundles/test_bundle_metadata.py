"""Metadata that contradict themselves are no metadata."""

from typing import Any

import pytest
from pydantic import ValidationError

from inference.bundles import Kind, Metric, NetworkInput, Normalisation, OsteonMetadata
from tests.training.bundle_example import CT_INPUT, metadata

pytestmark = pytest.mark.unit

CLASSES = {"kind": Kind.CLASSIFICATION, "classes": ("normal", "osteopenia", "osteoporosis")}


def test_a_classifier_carries_its_priors_and_temperatures() -> None:
    made = metadata(**CLASSES, priors=(0.5, 0.4, 0.1), tau1=1.0, tau2=0.5, temperature=1.3)
    assert OsteonMetadata.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({**CLASSES, "priors": (0.5, 0.5)}, "2 priors for 3 classes"),
        ({**CLASSES, "priors": (0.5, 0.4, 0.2)}, "the priors sum to 1.1, not to 1"),
        ({**CLASSES, "priors": (1.0, 0.0, 0.0)}, "greater than 0"),
        ({**CLASSES, "tau2": 0.5}, "tau1 and tau2 adjust logits by the priors; there are none"),
        ({"temperature": 1.3}, "a temperature calibrates a classification, not a segmentation"),
        ({**CLASSES, "temperature": 0.0}, "greater than 0"),
        ({"kind": Kind.CLASSIFICATION, "classes": ()}, "a classification names its classes"),
        ({"kind": Kind.REGRESSION}, "a regression names its targets, and has no classes"),
        ({"kind": Kind.REGRESSION, "classes": (), "targets": ("t_score", "t_score")}, "name one output twice"),
        ({"version": "1.0"}, "version"),
        ({"version": "01.0.0"}, "version"),
        ({"name": "Vertebrae V1"}, "name"),
        ({"intended_use": ""}, "intended_use"),
        ({"input": CT_INPUT.model_copy(update={"spacing_mm": ()})}, "a segmentation of CT needs spacing_mm and orientation"),
        ({"weights_dtype": "int8"}, "weights_dtype"),
        ({"architecture": "transformer"}, "architecture"),
    ],
)
def test_a_contradiction_is_named(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        metadata(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"spacing_mm": (3.0, 3.0)}, "spacing_mm has 2 axes, patch_size 3"),
        ({"orientation": "SSL"}, "orientation SSL names one axis twice"),
        ({"orientation": "SIL"}, "orientation SIL names one axis twice"),
        ({"window_hu": None}, "window_hu is needed"),
        ({"normalisation": Normalisation.MIN_MAX}, "window_hu is needed for a window's normalisation, and for no other"),
        ({"window_hu": (800.0, -200.0)}, r"window_hu must be \(low, high\)"),
        ({"window_hu": (float("nan"), 1.0)}, "finite number"),
        ({"multiple_of": 7}, "is no multiple of 7"),
        ({"spacing_mm": (3.0, 3.0, 0.0)}, "greater than 0"),
    ],
)
def test_an_input_that_cannot_be_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        NetworkInput(**(CT_INPUT.model_dump() | changes))


@pytest.mark.parametrize(("low", "high", "expected"), [(0.6, 0.9, "lies outside its interval 0.6 to 0.9"), (None, 0.9, "has one end only")])
def test_an_interval_holds_its_value(low: float | None, high: float | None, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        Metric(name="Dice", value=0.5, low=low, high=high, cases=1, data="one scan")


def test_a_metric_may_have_no_interval() -> None:
    assert Metric(name="Dice", value=0.5, cases=1, data="one scan").low is None
