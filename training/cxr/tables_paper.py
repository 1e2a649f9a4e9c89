"""What the paper prints: Tables I to III of Attentive Multi-ROI, row by row; and the rows of its two ablations, which it only tells of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from inference.networks2d import BACKBONES
from training.cxr.cases import LEVELS
from training.cxr.evaluate import AGREEMENT, AVERAGE

PAPER = "Wang et al., Anatomy-aware Attentive Multi-ROI Modeling"

_COLUMNS = (*LEVELS, AVERAGE)
_TABLE_1 = """
baseline | 0.859 0.089 0.952 0.870 0.101 0.960 0.860 0.104 0.966 0.823 0.120 0.963 0.853 0.104 0.960
multipatch | 0.873 0.071 0.958 0.877 0.080 0.967 0.873 0.083 0.971 0.834 0.098 0.965 0.864 0.083 0.965
attmultipatch | 0.885 0.068 0.964 0.888 0.076 0.967 0.882 0.081 0.969 0.846 0.094 0.964 0.875 0.080 0.966
multiroi | 0.883 0.068 0.959 0.887 0.076 0.966 0.879 0.082 0.972 0.837 0.097 0.966 0.871 0.081 0.966
proposed | 0.894 0.065 0.964 0.899 0.073 0.966 0.887 0.079 0.972 0.855 0.092 0.968 0.884 0.077 0.968
"""
_TABLE_2 = """
-1.75 | 93.9 85.1 91.7 89.1 93.4 91.1 85.0 93.1 91.0 89.6
-2 | 86.2 91.0 85.0 93.0 84.8 94.8 75.4 95.4 82.8 93.6
-2.25 | 77.6 95.3 76.3 95.8 72.0 96.9 68.9 97.4 73.7 96.4
-2.5 | 61.9 97.5 63.5 97.9 60.7 98.3 54.5 98.9 60.2 98.1
Flex | 79.8 94.7 82.3 94.4 84.8 94.8 78.4 94.4 81.3 94.6
"""
_TABLE_3 = """
-1.75 | 0.933 0.873 0.453 0.995
-2 | 0.844 0.929 0.341 0.998
-2.25 | 0.736 0.966 0.255 0.999
Flex | 0.895 0.906 0.392 0.997
"""
OPERATING = ("sensitivity", "specificity")
BY_PATIENT = tuple(f"{name}_{metric}" for name in ("osteoporosis", "osteopenia") for metric in OPERATING)


def _read(text: str, keys: tuple[str, ...], per: float = 1.0) -> Mapping[str, Mapping[str, float]]:
    rows = {}
    for line in text.strip().splitlines():
        name, _, figures = line.partition("|")
        rows[name.strip()] = dict(zip(keys, (round(float(figure) / per, 4) for figure in figures.split()), strict=True))
    return MappingProxyType(rows)


TABLE_1 = _read(_TABLE_1, tuple(f"{metric}_{level}" for level in _COLUMNS for metric in AGREEMENT))
TABLE_2 = _read(_TABLE_2, tuple(f"{metric}_{level}" for level in _COLUMNS for metric in OPERATING), 100.0)
TABLE_3 = _read(_TABLE_3, BY_PATIENT)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trained row: a variant on a backbone, and the paper's figures."""

    name: str
    variant: str
    backbone: str = "vgg16"
    paper: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table that compares trained variants."""

    name: str
    title: str
    rows: tuple[Row, ...]


_TITLES = {
    "baseline": "Base",
    "multipatch": "MultiPatch",
    "attmultipatch": "AttMultiPatch",
    "multiroi": "MultiROI",
    "proposed": "Proposed",
}

COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "1": Comparison(
            name="1",
            title="Table I: variants",
            rows=tuple(Row(name=title, variant=variant, paper=TABLE_1[variant]) for variant, title in _TITLES.items()),
        ),
        "backbones": Comparison(
            name="backbones",
            title="Section V-A: backbones of the Baseline",
            rows=tuple(
                Row(name=name, variant="baseline", backbone=name, paper=TABLE_1["baseline"] if name == "vgg16" else {})
                for name in BACKBONES
            ),
        ),
        "splits": Comparison(
            name="splits",
            title="Section V-B: how MultiPatch cuts the film",
            rows=(
                Row(name="2 x 2", variant="multipatch-2"),
                Row(name="3 x 3", variant="multipatch", paper=TABLE_1["multipatch"]),
                Row(name="4 x 4", variant="multipatch-4"),
            ),
        ),
    }
)
"""By the name that ``--table`` takes. The ablations' figures are in the paper's prose only: VGG-16 and VGG-19 before the ResNets, and 3 x 3
before 2 x 2 and 4 x 4."""
