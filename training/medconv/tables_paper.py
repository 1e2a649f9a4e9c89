"""What the paper prints: Tables II to VI of MedConv (arXiv 2502.00631), row by row, as fractions.

In every row but ``JointViT + pretrain``, sensitivity is accuracy and specificity is (1 + accuracy) / 2: the paper's are micro averages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from training.medconv.evaluate import METRICS
from training.medconv.rows import MEDCONV, Method, parse_method

PAPER = "MedConv, arXiv 2502.00631"

_TABLE_2 = """
resnet101c3_in1k+pretrain | 58.97 58.97 79.49 59.46 67.90
resnet141c3_in1k+pretrain | 56.41 56.41 78.21 56.53 70.12
resnet18_a1_in1k | 48.72 48.72 74.36 44.87 65.06
resnet18_a1_in1k+windows | 47.44 47.44 73.72 44.81 63.63
resnet18_a1_in1k+balcug | 47.44 47.44 73.72 42.75 64.67
resnet18_a1_in1k+pretrain | 62.82 62.82 81.41 62.34 74.51
resnet18_a1_in1k+pretrain+balce | 62.82 62.82 81.41 62.28 75.79
resnet18_a1_in1k+pretrain+balcug | 57.69 57.69 78.85 55.47 75.02
resnet18_a1_in1k+pretrain+windows | 56.41 56.41 78.21 54.92 69.53
resnet18_a1_in1k+pretrain+balcug+windows | 58.97 58.97 79.49 58.64 77.71
resnet34_a1_in1k | 48.72 48.72 74.36 46.77 64.47
resnet34_a1_in1k+balcug | 46.15 46.15 73.08 46.41 66.15
resnet34_a1_in1k+windows | 48.72 48.72 74.36 47.33 63.93
resnet34_a1_in1k+pretrain | 58.97 58.97 79.49 57.45 83.01
resnet34_a1_in1k+pretrain+balce | 57.69 57.69 78.85 56.54 74.51
resnet34_a1_in1k+pretrain+balcug | 56.41 56.41 78.21 56.34 73.69
resnet50_a1_in1k | 44.87 44.87 72.44 41.66 59.94
resnet50_a1_in1k+pretrain | 57.69 57.69 78.85 55.89 76.87
resnet50_a1_in1k+pretrain+balcug | 55.13 55.13 77.56 53.52 70.81
resnet50_a1_in1k+pretrain+balce | 64.10 64.10 82.05 65.14 78.43
resnet50_a1_in1k+pretrain+balce+schdulefree | 57.69 57.69 78.85 57.40 71.40
resnet50_a1_in1k+pretrain+balce+balcug | 62.82 62.82 81.41 61.13 76.53
resnet50_a1_in1k+pretrain+balce+resample | 61.54 61.54 80.77 60.61 73.25
resnet50_a1_in1k+pretrain+sum | 55.13 55.13 77.56 54.36 73.10
resnet50_a1_in1k+pretrain+balce+sum | 56.41 56.41 78.21 55.82 73.22
resnet50_a1_in1k+trainParams+balcug | 53.85 53.85 76.92 53.13 74.58
mobilenetv2_100_ra_in1k+pretrain | 52.56 52.56 76.28 51.89 69.26
mobilenetv2_100_ra_in1k+pretrain+balce | 56.41 56.41 78.21 55.45 71.52
efficientnet_b0_ra_in1k+pretrain | 57.69 57.69 78.85 56.02 74.14
efficientnet_b0_ra_in1k+pretrain+balce | 60.26 60.26 80.13 58.73 78.06
resnext50_32x4d_a1h_in1k+pretrain | 60.26 60.26 80.13 60.77 76.06
resnext50_32x4d_a1h_in1k+pretrain+balce | 55.13 55.13 77.56 52.64 71.28
resnext50_32x4d_a1h_in1k+pretrain+balcug | 50.00 50.00 75.00 46.06 62.15
resnet101_a1_in1k+pretrain | 55.13 55.13 77.56 54.78 73.30
resnet101_a1_in1k+pretrain+balce | 58.97 58.97 79.49 55.27 73.30
resnet101_a1_in1k+pretrain+balce+sum | 55.13 55.13 77.56 47.70 71.06
resnet152_tv_in1k+pretrain | 50.00 50.00 75.00 47.91 69.06
resnet152_tv_in1k+pretrain+balce | 57.69 57.69 78.85 58.30 70.76
resnet152_tv_in1k+pretrain+balce+sum | 52.56 52.56 76.28 48.72 69.82
ViT+pretrain | 33.54 33.54 66.77 17.93 58.35
JointViT + pretrain | 41.03 41.03 76.92 53.85 60.78
JointViT + pretrain + balce | 43.59 43.59 71.79 34.60 56.81
MedConv (Ours) | 65.38 65.38 82.69 66.37 79.34
"""
_TABLE_3 = """
mobilenetv2_100.ra_in1k CTspine1K | 39.74 39.74 69.87 47.71 36.03
mobilenetv2_100.ra_in1k TotalSegmentator | 52.56 52.56 76.28 51.89 69.26
resnet18.a1_in1k CTspine1K | 46.15 46.15 73.08 41.30 53.43
resnet18.a1_in1k TotalSegmentator | 48.72 48.72 74.36 44.87 65.06
resnet34.a1_in1k CTspine1K | 42.31 42.31 71.15 36.01 53.60
resnet34.a1_in1k TotalSegmentator | 48.72 48.72 74.36 46.77 64.47
resnet50.a1_in1k CTspine1K | 44.87 44.87 72.44 37.97 59.32
resnet50.a1_in1k TotalSegmentator | 44.87 44.87 72.44 41.66 59.94
resnet101.a1_in1k CTspine1K | 43.59 43.59 71.79 34.97 57.91
resnet101.a1_in1k TotalSegmentator | 55.13 55.13 77.56 54.78 73.30
resnet152.tv_in1k CTspine1K | 42.31 42.31 71.15 36.10 54.29
resnet152.tv_in1k TotalSegmentator | 50.00 50.00 75.00 47.91 69.06
"""
_TABLE_4 = """
mobilenetv2 w/o | 52.56 52.56 76.28 51.89 69.26
mobilenetv2 w/ | 56.41 56.41 78.21 55.45 71.52
efficientnet w/o | 57.69 57.69 78.85 56.02 74.14
efficientnet w/ | 60.26 60.26 80.13 58.73 74.14
resnet34 w/o | 58.97 58.97 79.49 57.45 83.01
resnet34 w/ | 57.69 57.69 78.85 56.54 74.51
resnet50 w/o | 57.69 57.69 78.85 55.89 76.87
resnet50 w/ | 64.10 64.10 82.05 65.14 78.43
resnet101 w/o | 55.13 55.13 77.56 54.78 73.30
resnet101 w/ | 58.97 58.97 79.49 55.27 73.30
resnet152 w/o | 50.00 50.00 75.00 47.91 69.06
resnet152 w/ | 57.69 57.69 78.85 58.30 70.76
"""
_TABLE_5 = """
0 | 57.69 57.69 78.85 55.89 76.87
0.25 | 58.97 58.97 79.49 59.25 75.42
0.5 | 57.69 57.69 78.85 57.77 78.33
0.65 | 58.97 58.97 79.49 58.07 70.69
0.75 | 61.54 61.54 80.77 61.61 77.12
0.85 | 61.54 61.54 80.77 60.12 74.11
0.9 | 58.97 58.97 79.49 57.83 74.38
0.92 | 52.56 52.56 76.28 50.29 70.88
0.95 | 61.54 61.54 80.77 60.66 74.46
0.96 | 56.41 56.41 78.21 57.12 73.40
0.97 | 57.69 57.69 78.85 56.52 69.30
0.99 | 53.85 53.85 76.92 50.72 70.09
0.995 | 58.97 58.97 79.49 59.49 72.61
0.999 | 60.26 60.26 80.13 59.36 78.43
1 | 64.10 64.10 82.05 65.14 78.43
1.1 | 57.69 57.69 78.85 57.88 74.98
1.5 | 56.41 56.41 78.21 56.45 75.76
2 | 52.56 52.56 76.28 45.26 74.73
"""
_TABLE_6 = """
1.0 | 64.10 64.10 82.05 65.14 78.43
0.9 | 64.10 64.10 82.05 65.14 78.70
0.8 | 64.10 64.10 82.05 65.14 78.77
0.7 | 64.10 64.10 82.05 65.14 78.94
0.6 | 65.38 65.38 82.69 66.37 79.19
0.5 | 65.38 65.38 82.69 66.37 79.34
0.4 | 64.10 64.10 82.05 64.93 79.51
0.3 | 64.10 64.10 82.05 64.93 79.61
0.2 | 62.82 62.82 81.41 63.59 79.71
0.1 | 62.82 62.82 81.41 63.37 79.86
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table of the paper.

    Attributes
    ----------
    name
        The paper's, or ours where the paper has no such row.
    method
        What it trains.
    segmenter
        Whose masks it sees, in Table III: ``CTspine1K``, ``TotalSegmentator`` or ``Osteon``.
    paper
        The paper's figures as fractions, by metric.
    """

    name: str
    method: Method
    segmenter: str | None = None
    paper: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of the paper."""

    number: int
    roman: str
    title: str
    rows: tuple[Row, ...]

    @property
    def source(self) -> str:
        """For the legend."""
        return f"{PAPER}, Table {self.roman}"


def _lines(text: str) -> list[tuple[str, Mapping[str, float]]]:
    rows: list[tuple[str, Mapping[str, float]]] = []
    for line in text.strip().splitlines():
        name, _, figures = line.partition("|")
        values = [round(float(figure) / 100, 4) for figure in figures.split()]
        rows.append((name.strip(), dict(zip(METRICS, values, strict=True))))
    return rows


def _table_3() -> tuple[Row, ...]:
    rows: list[Row] = []
    for name, paper in _lines(_TABLE_3):
        network, _, segmenter = name.partition(" ")
        # The TotalSegmentator rows repeat Table II: resnet18, 34 and 50 without pretraining, the others with it.
        method = replace(parse_method(network), pretrain=not network.startswith(("resnet18", "resnet34", "resnet50")))
        rows.append(Row(name=f"{network}, {segmenter}", method=method, segmenter=segmenter, paper=paper))
        if segmenter == "TotalSegmentator":
            rows.append(Row(name=f"{network}, Osteon", method=method, segmenter="Osteon", paper={}))
    return tuple(rows)


def _table_4() -> tuple[Row, ...]:
    rows = []
    for name, paper in _lines(_TABLE_4):
        network, _, how = name.partition(" ")
        rows.append(Row(name=name, method=parse_method(f"{network}+pretrain{'+balce' if how == 'w/' else ''}"), paper=paper))
    return tuple(rows)


def _tau1(value: float) -> Method:
    """The paper sweeps tau1 "under the default condition of tau1 = tau2"."""
    return replace(MEDCONV, tau1=value, tau2=value)


TABLES: Mapping[int, Table] = MappingProxyType(
    {
        table.number: table
        for table in (
            Table(
                number=2,
                roman="II",
                title="Table II: methods",
                rows=tuple(Row(name=name, method=parse_method(name), paper=paper) for name, paper in _lines(_TABLE_2)),
            ),
            Table(number=3, roman="III", title="Table III: whose masks", rows=_table_3()),
            Table(number=4, roman="IV", title="Table IV: Bal-CE on several networks", rows=_table_4()),
            Table(
                number=5,
                roman="V",
                title="Table V: tau1 (= tau2)",
                rows=tuple(Row(name=name, method=_tau1(float(name)), paper=paper) for name, paper in _lines(_TABLE_5)),
            ),
            Table(
                number=6,
                roman="VI",
                title="Table VI: tau2, after training",
                rows=tuple(Row(name=name, method=replace(MEDCONV, tau2=float(name)), paper=paper) for name, paper in _lines(_TABLE_6)),
            ),
        )
    }
)
"""The tables by number."""
