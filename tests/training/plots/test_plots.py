"""Pictures: drawn from data, the same bytes for the same data, nothing half written."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from training.errors import TrainingError
from training.metrics.bootstrap import BootstrapOptions
from training.metrics.calibration import reliability, softmax
from training.plots import style
from training.plots.agreement import Quantity, plot_agreement, plot_bland_altman, plot_linear_fit
from training.plots.confusion import plot_confusion
from training.plots.reliability import plot_reliability, wilson
from training.plots.roc import RocSeries, plot_roc
from training.plots.style import COLOURS

pytestmark = pytest.mark.unit

RNG = np.random.default_rng(2)
TRUE = np.r_[np.zeros(40, int), np.ones(20, int), np.full(10, 2)]
SAID = softmax(RNG.normal(size=(70, 3)) + np.eye(3)[TRUE])
MEASURED = RNG.normal(0.95, 0.15, 70)
PREDICTED = MEASURED + RNG.normal(0, 0.05, 70)
BMD = Quantity(name="BMD of L1", unit="g/cm²", digits=3)
QUICK = BootstrapOptions(resamples=40)

PICTURES: dict[str, Callable[[Path], None]] = {
    "roc": lambda path: plot_roc([RocSeries(name="ours", truth=TRUE == 2, scores=SAID[:, 2], points=(0.5,))], path, options=QUICK),
    "agreement": lambda path: plot_agreement(MEASURED, PREDICTED, path, BMD),
    "fit": lambda path: plot_linear_fit(MEASURED, PREDICTED, path, BMD),
    "limits": lambda path: plot_bland_altman(MEASURED, PREDICTED, path, BMD),
    "confusion": lambda path: plot_confusion(TRUE, SAID.argmax(axis=1), ("normal", "osteopenia", "osteoporosis"), path, title="L1"),
    "reliability": lambda path: plot_reliability(reliability(TRUE, SAID), path),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_and_does_not_change(name: str, tmp_path: Path) -> None:
    first, second = tmp_path / "a" / f"{name}.png", tmp_path / "b" / f"{name}.png"
    PICTURES[name](first)
    with mpl.rc_context({"font.size": 30.0, "lines.linewidth": 9.0}):  # somebody's own settings
        PICTURES[name](second)
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] >= 500
    blue = np.array([int(COLOURS[0][at : at + 2], 16) for at in (1, 3, 5)])
    shade = (np.abs(pixels.astype(int) - blue).sum(axis=2) < 150).mean()
    assert 0.0005 < shade < 0.6  # there is something in the first colour, and it does not fill the page
    assert (pixels == 255).all(axis=2).mean() > 0.2


def test_vector_pictures_do_not_change_either(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        PICTURES["confusion"](tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_numbers_are_written_on_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(style._SETTINGS, "svg.fonttype", "none")  # letters as letters, so that they can be read here
    plot_bland_altman([1.0, 2.0, 3.0, 4.0], [1.1, 2.3, 2.9, 4.1], tmp_path / "limits.svg", BMD)
    plot_roc([RocSeries(name="ours", truth=[0, 0, 1, 1], scores=[1, 2, 3, 4])], tmp_path / "roc.svg", options=QUICK)
    assert "bias: +0.100" in (tmp_path / "limits.svg").read_text(encoding="utf-8")
    assert "ours: AUC 1.00 (1.00 to 1.00)" in (tmp_path / "roc.svg").read_text(encoding="utf-8")


def test_wrong_names_and_data_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"ends in \.png, \.svg or \.pdf"):
        PICTURES["roc"](tmp_path / "roc.bmp")
    with pytest.raises(ValueError, match="needs both classes"):
        plot_roc([RocSeries(name="x", truth=[1, 1], scores=[0.1, 0.2])], tmp_path / "roc.png", options=QUICK)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(TrainingError, match="cannot be written"):
        PICTURES["confusion"](tmp_path / "file" / "c.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wilson_interval_as_printed() -> None:
    """Newcombe 1998, Table I, method 3: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    low, high = wilson(np.array([81 / 263, 0.0]), np.array([263, 20]))
    assert low == pytest.approx([0.2553, 0.0], abs=5e-5)
    assert high == pytest.approx([0.3662, 0.1611], abs=5e-5)
