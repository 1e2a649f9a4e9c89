"""What the results say of the experts: never a density without its scale and what the model was trained on."""

from dataclasses import replace

import pytest

from inference.ct.opinions import OpinionSource, compare_opinions
from inference.ct.vertebra_readings import VertebraReading, VertebraReadings
from inference.findings import Band, Findings, ModelUsed, Outcome
from node.report_experts import experts_report, opinions_report
from node.results.experts import experts_lines
from node.results.roles import EXPERTS, role_of

pytestmark = pytest.mark.unit

MODEL = ModelUsed(name="vertebra-experts", version="1.0.0", sha256="c" * 64, trained_on="simulated patients")
READINGS = VertebraReadings(
    readings=(
        VertebraReading(label=1, level="T12", looks_like="T12", bmd_g_cm2=None, probability=None, gates=(0.25, 0.75)),
        VertebraReading(label=2, level="L1", looks_like="L1", bmd_g_cm2=0.8149, probability=0.614, gates=(0.5, 0.5)),
        VertebraReading(label=3, level="L2", looks_like="L3", bmd_g_cm2=0.9, probability=0.2, gates=(1.0, 0.0)),
    ),
    densitometer="Hologic",
    model=MODEL,
    because="on the scale of Hologic (the site's choice)",
    shift=0,
)


def findings(**changes: object) -> Findings:
    plain = Findings(study_instance_uid="1.2", workflow="ct", outcome=Outcome.RESULT, reason=None, models=(MODEL,))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_densities_stand_with_scale_and_origin() -> None:
    opinions = compare_opinions(Band.LOW, "normal", READINGS.osteoporotic_levels)
    lines = experts_lines(findings(experts=READINGS, opinions=opinions))
    assert lines == [
        "Predicted BMD by vertebra, on the scale of Hologic (the site's choice): L1 0.81 g/cm2 (osteoporosis 61%), L2 0.90 g/cm2 "
        "(osteoporosis 20%) (model trained on simulated patients). By vertebra-experts 1.0.0. A prediction, not a DXA result; it changes "
        "no measurement.",
        "The opinions contradict each other (the classifier at L1 stands alone): attenuation low; normal predicted at L1; osteoporosis "
        "predicted at L1. Attenuation low leads, by the site's setting.",
    ]


def test_without_a_model_one_line_says_why_and_without_a_setting_none() -> None:
    silent = VertebraReadings(because="there is no bundle 'vertebra-experts'")
    assert experts_lines(findings(experts=silent)) == ["No density by vertebra is predicted: there is no bundle 'vertebra-experts'."]
    assert experts_lines(findings()) == []
    assert experts_report(None) is None
    assert opinions_report(None) is None
    report = experts_report(silent)
    assert report is not None
    assert (report["model"], report["patient_osteoporosis"], report["vertebrae"]) == (None, None, [])


def test_the_json_holds_positions_and_gate_weights() -> None:
    report = experts_report(READINGS)
    assert report is not None
    assert report["vertebrae"][0] == {
        "level": "T12",
        "looks_like": "T12",
        "bmd_g_cm2": None,
        "osteoporosis_probability": None,
        "gate_weights": [0.25, 0.75],
    }
    assert (report["vertebrae"][1]["bmd_g_cm2"], report["vertebrae"][1]["osteoporosis_probability"]) == (0.81, 0.61)
    assert (report["densitometer"], report["patient_osteoporosis"], report["level_shift"]) == ("Hologic", True, 0)
    said = opinions_report(compare_opinions(Band.LOW, None, (), OpinionSource.CLASSIFIER))
    assert said is not None
    assert (said["leading"], said["agreement"]) == (None, "one_step_apart")
    assert [one["source"] for one in said["given"]] == ["measurement", "experts"]


def test_the_reader_of_every_vertebra_has_a_role_of_its_own() -> None:
    assert role_of(MODEL, findings(experts=READINGS)) == EXPERTS
