from pathlib import Path

import pytest

from training.errors import TrainingError
from training.medconv.options import MedconvOptions, paper_loop
from training.medconv.rows import MEDCONV, Method, options_of, parse_method, remarks
from training.medconv.tables_paper import TABLES

ALL_ROWS = [row for table in TABLES.values() for row in table.rows]


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("resnet18_a1_in1k", Method(network="resnet18")),
        ("resnet101c3_in1k+pretrain", Method(network="resnet10t", pretrain=True)),
        ("resnet10t.c3_in1k", Method(network="resnet10t")),
        ("resnet50_a1_in1k+pretrain+balce+sum", Method(network="resnet50", pretrain=True, balce=True, tau2=1.0, sam=True)),
        (
            "resnet50_a1_in1k+pretrain+balce+schdulefree",
            Method(network="resnet50", pretrain=True, balce=True, tau2=1.0, schedule_free=True),
        ),
        ("resnet50_a1_in1k+trainParams+balcug", Method(network="resnet50", pretrain=True, balanced_augmentation=True)),
        ("mobilenetv2_100.ra_in1k", Method(network="mobilenetv2")),
        ("resnext50_32x4d_a1h_in1k+pretrain", Method(network="resnext50", pretrain=True)),
        ("resnet18_a1_in1k+balcug+windows+resample", Method(network="resnet18", balanced_augmentation=True, windows=True, resample=True)),
        ("JointViT + pretrain + balce", Method(network="jointvit", pretrain=True, balce=True, tau2=1.0)),
        ("MedConv (Ours)", MEDCONV),
        ("vgg16", None),
        ("resnet18+magic", None),
    ],
)
def test_a_name_says_its_method(name: str, method: Method | None) -> None:
    if method is None:
        with pytest.raises(TrainingError, match="none of"):
            parse_method(name)
    else:
        assert parse_method(name) == method


def test_a_method_becomes_options() -> None:
    base = MedconvOptions(width=0.25, loop=paper_loop(7))
    plain = options_of(parse_method("resnet18_a1_in1k"), base, {"resnet18": Path("18.pth")}, seed=3)
    assert (plain.network, plain.width, plain.loss, plain.tau1, plain.tau2) == ("resnet18", 0.25, "ce", 0.0, 0.0)
    assert (plain.augmentation, plain.resampling, plain.windows, plain.weights) == ("none", "natural", ("trabecular",), None)
    assert (plain.seed, plain.loop.seed, plain.loop.epochs, plain.loop.sam_rho, plain.loop.schedule) == (3, 3, 7, None, "cosine")
    full = options_of(
        parse_method("resnet18_a1_in1k+pretrain+balce+balcug+windows+resample+sum+schedulefree"), base, {"resnet18": Path("18.pth")}
    )
    assert (full.loss, full.tau1, full.tau2, full.weights) == ("balce", 1.0, 1.0, Path("18.pth"))
    assert (full.augmentation, full.resampling, len(full.windows)) == ("balanced", "balanced", 3)
    assert (full.loop.sam_rho, full.loop.schedule_free, full.loop.schedule) == (0.05, True, "constant")


def test_a_row_without_its_weights_says_so() -> None:
    method = parse_method("vit+pretrain")
    assert remarks("vit+pretrain", method, {}) == "from scratch: no pretrained weights were given"
    assert remarks("vit+pretrain", method, {"vit": Path("vit.pth")}) == ""
    assert "misprinted" in remarks("resnet101c3_in1k", parse_method("resnet101c3_in1k"), {})


def test_the_tables_are_complete() -> None:
    assert {number: len(table.rows) for number, table in TABLES.items()} == {2: 43, 3: 18, 4: 12, 5: 18, 6: 10}
    assert len({(number, row.name) for number, table in TABLES.items() for row in table.rows}) == len(ALL_ROWS)


def test_figures_that_the_paper_prints_twice_agree() -> None:
    """But for the AUC of EfficientNet with Bal-CE: 78.06 in Table II, 74.14 in Table IV."""
    two = {row.method: row.paper for row in TABLES[2].rows}
    for number in (3, 4):
        for row in TABLES[number].rows:
            if row.paper and row.segmenter in (None, "TotalSegmentator"):
                same = {metric for metric, value in row.paper.items() if value == two[row.method][metric]}
                assert same >= {"accuracy", "sensitivity_macro", "specificity_macro", "f1_weighted"}, row.name
                assert "auc" in same or row.name == "efficientnet w/"
    assert TABLES[6].rows[5].paper == two[MEDCONV]
    assert TABLES[6].rows[0].paper == two[parse_method("resnet50+pretrain+balce")] == TABLES[5].rows[14].paper


def test_the_papers_sensitivity_and_specificity_are_micro_averages() -> None:
    """But for JointViT with pretraining, whose row does not agree with itself."""
    for row in ALL_ROWS:
        if row.paper and row.name != "JointViT + pretrain":
            assert row.paper["sensitivity_macro"] == row.paper["accuracy"]
            assert row.paper["specificity_macro"] == pytest.approx((1 + row.paper["accuracy"]) / 2, abs=2e-4)
