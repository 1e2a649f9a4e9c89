"""From structures to named bodies, on made predictions."""

import numpy as np
import pytest

from inference.ct.segmentation.levels import name_levels
from inference.ct.segmentation.network.anchors import find_anchors
from inference.ct.segmentation.network.column import NetworkColumn, find_column
from inference.ct.segmentation.network.predict import BODY, DISC, Prediction
from inference.errors import ReasonCode, Refusal
from tests.inference.ct.network.made_column import SPACING_MM, Made, make_column

pytestmark = pytest.mark.unit


def _labels_of(made: Made, column: NetworkColumn) -> list[set[int]]:
    """The true labels in each found body, foot to head."""
    return [set(np.unique(made.bodies[tuple(body.voxels.T)]).tolist()) for body in column.bodies if body is not None]


@pytest.mark.parametrize("bend", [0.0, 0.0012, -0.002])
def test_each_body_is_one_body(bend: float):
    made = make_column(bend=bend)
    column = find_column(made.prediction)
    assert _labels_of(made, column) == [{n} for n in range(1, 8)]
    for number, body in enumerate((body for body in column.bodies if body is not None), start=1):
        missed = np.count_nonzero(made.bodies == number) - len(body.voxels)
        assert missed <= 0.02 * len(body.voxels)


def test_the_frame_of_the_line_is_right_handed_and_looks_to_the_front():
    line = find_column(make_column().prediction).line
    assert np.allclose(np.linalg.norm(line.anterior, axis=1), 1)
    assert np.allclose(np.sum(line.tangent * line.anterior, axis=1), 0, atol=1e-9)
    assert np.all(line.tangent[:, 0] > 0.8)  # towards the head
    assert np.all(line.anterior[:, 1] < -0.8)  # against the posterior axis
    assert np.all(line.left[:, 2] > 0.8)


def test_names_rest_on_sacrum_and_ribs():
    made = make_column()
    column = find_column(made.prediction)
    naming = name_levels(find_anchors(made.prediction, column))
    named = [name for name, body in zip(naming.levels, column.bodies, strict=True) if body is not None]
    assert named == ["L5", "L4", "L3", "L2", "L1", "T12", "T11"]
    assert all(naming.certain[space] for space, body in enumerate(column.bodies) if body is not None)
    assert "both agree" in naming.because


def test_the_sacrum_alone_is_enough_and_is_said():
    made = make_column(5, ribs_on=())
    naming = name_levels(find_anchors(made.prediction, find_column(made.prediction)))
    assert "L5" in naming.levels
    assert "the sacrum alone" in naming.because


def test_six_bodies_between_sacrum_and_ribs_get_no_name():
    made = make_column(8, ribs_on=(7, 8))
    naming = name_levels(find_anchors(made.prediction, find_column(made.prediction)))
    assert not any(naming.certain)
    assert "transitional" in naming.because


def test_without_an_anchor_nothing_is_named():
    made = make_column(5, sacrum=False, ribs_on=())
    naming = name_levels(find_anchors(made.prediction, find_column(made.prediction)))
    assert not any(naming.levels)


def test_two_bodies_run_together_name_nothing_beyond_them():
    """Seen from the ribs, names are right down to the merged pair; sacrum and ribs together give none."""
    for sacrum, expected in ((False, {5: "L1", 6: "T12", 7: "T11"}), (True, {})):
        made = make_column(missing_disc=3, sacrum=sacrum)
        column = find_column(made.prediction)
        naming = name_levels(find_anchors(made.prediction, column))
        named = {}
        for space, body in enumerate(column.bodies):
            if body is not None and naming.certain[space]:
                (label,) = set(np.unique(made.bodies[tuple(body.voxels.T)]).tolist())
                named[label] = naming.levels[space]
        assert named == expected


def test_a_blob_beside_the_column_is_no_body():
    made = make_column()
    structures = made.prediction.structures.copy()
    structures[60:70, 5:15, 5:15] = BODY
    structures[60:63, 60:68, 90:104] = DISC
    column = find_column(Prediction(structures=structures, margin=made.prediction.margin, spacing_mm=SPACING_MM))
    assert _labels_of(made, column) == [{n} for n in range(1, 8)]


def test_a_piece_beyond_a_gap_belongs_to_the_column():
    made = make_column()
    structures = made.prediction.structures.copy()
    gap = (made.bodies == 5) | (made.bodies == 0) & (structures == DISC)
    z = np.indices(structures.shape)[0]
    near = np.abs(z * SPACING_MM - made.centres_mm[4, 0]) < 20
    structures[gap & near] = 0
    column = find_column(Prediction(structures=structures, margin=made.prediction.margin, spacing_mm=SPACING_MM))
    found = set().union(*_labels_of(made, column))
    assert {1, 2, 3, 4, 6, 7} <= found


@pytest.mark.parametrize("structure", [0, BODY])
def test_no_column_no_bodies(structure: int):
    """An empty scan, and one lump of bone without a disc."""
    structures = np.zeros((60, 60, 60), dtype=np.uint8)
    structures[20:40, 20:40, 20:40] = structure
    with pytest.raises(Refusal) as caught:
        find_column(Prediction(structures=structures, margin=np.zeros(structures.shape, np.float32), spacing_mm=SPACING_MM))
    assert caught.value.code is ReasonCode.SPINE_NOT_FOUND
