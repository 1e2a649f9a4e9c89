"""Tables 1 to 5 of the TP-SwAV paper as it prints them: rows by name, and its figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from training.tpswav.losses import TaskWeights
from training.tpswav.networks import VIT

SITES = ("A", "B", "C", "D")
BY_DIAGNOSIS = TaskWeights(diagnosis=1.0, bmd=0.0, position=0.0)
WITH_BMD = TaskWeights(diagnosis=1.0, bmd=1.0, position=0.0)
WITH_POSITION = TaskWeights(diagnosis=1.0, bmd=0.0, position=0.5)
UNIFIED = TaskWeights()
EXPERTS = 3


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a row is trained with.

    Attributes
    ----------
    backbone
        Of :data:`training.tpswav.networks.BACKBONES`; empty for one that is not ours.
    pretraining
        ``tpswav``, ``swav`` or ``mae``, which are trained here; the name of other people's, whose weights must be given; empty for none.
    tasks
        Weights of the losses.
    experts
        1: a plain head.
    """

    backbone: str
    pretraining: str = ""
    tasks: TaskWeights = BY_DIAGNOSIS
    experts: int = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table: its name, what it is trained with, and the paper's figures by site: ACC, SEN, SPE, F1, or F1 alone, in percent."""

    name: str
    method: Method
    paper: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of methods. ``level`` says what is counted; ``f1_alone`` that the paper prints nothing else."""

    number: int
    title: str
    level: str
    rows: tuple[Row, ...]
    f1_alone: bool = False


OURS = "ResNet34+MoE, TP-SwAV, unified"
"""The row that the others are tested against."""

_METHODS: Mapping[str, Method] = {
    "ResNet34": Method(backbone="resnet34"),
    "Swin-UNETR": Method(backbone="swin_unetr"),
    "ViT, MAE": Method(backbone=VIT, pretraining="mae"),
    "nnFormer, Alice": Method(backbone="", pretraining="Alice"),
    "SwinT, SwinMM": Method(backbone="swint", pretraining="SwinMM"),
    "ResNet34, VOCO": Method(backbone="resnet34", pretraining="VOCO"),
    "ResNet34, SwAV": Method(backbone="resnet34", pretraining="swav"),
    "ResNet34, TP-SwAV": Method(backbone="resnet34", pretraining="tpswav"),
    "ResNet34, TP-SwAV, unified": Method(backbone="resnet34", pretraining="tpswav", tasks=UNIFIED),
    OURS: Method(backbone="resnet34", pretraining="tpswav", tasks=UNIFIED, experts=EXPERTS),
}


def _rows(figures: tuple[tuple[float, ...], ...]) -> tuple[Row, ...]:
    """Rows of Table 2 or 3: sixteen figures each, four a site."""
    return tuple(
        Row(name=name, method=method, paper={site: values[4 * place : 4 * place + 4] for place, site in enumerate(SITES)})
        for (name, method), values in zip(_METHODS.items(), figures, strict=True)
    )


_VERTEBRAE = (
    (83.89, 76.86, 89.24, 80.49, 86.56, 62.24, 91.21, 59.80, 89.20, 71.43, 92.11, 65.04, 73.80, 78.70, 70.55, 70.54),
    (84.70, 83.52, 85.36, 79.64, 88.69, 76.06, 90.35, 61.02, 89.95, 81.40, 90.99, 63.64, 73.43, 92.96, 66.50, 64.71),
    (81.34, 70.21, 92.99, 79.38, 82.62, 50.00, 92.64, 59.23, 87.18, 59.09, 93.86, 67.10, 78.59, 76.22, 81.25, 78.99),
    (85.50, 79.00, 90.38, 82.35, 88.52, 70.93, 91.41, 63.54, 91.21, 88.10, 91.57, 67.89, 79.70, 90.62, 73.71, 75.98),
    (85.37, 86.36, 84.86, 80.04, 87.38, 63.81, 92.28, 63.51, 89.45, 87.88, 89.59, 58.00, 80.07, 92.47, 73.60, 76.11),
    (83.83, 79.39, 86.71, 79.45, 87.21, 64.89, 91.28, 61.00, 88.44, 69.81, 91.30, 61.67, 74.54, 81.37, 70.41, 70.64),
    (83.36, 78.84, 86.28, 78.84, 87.05, 66.67, 90.17, 57.75, 88.44, 68.42, 91.79, 62.90, 79.70, 93.33, 72.93, 75.34),
    (84.43, 80.94, 86.60, 79.97, 86.72, 62.89, 91.23, 60.10, 90.70, 77.78, 92.73, 69.42, 78.97, 94.19, 71.89, 73.97),
    (84.76, 81.44, 86.83, 80.38, 88.19, 67.00, 92.35, 65.05, 91.21, 76.67, 93.78, 72.24, 79.33, 87.83, 74.40, 76.27),
    (86.64, 83.19, 88.86, 82.98, 89.02, 69.31, 92.92, 67.63, 90.95, 74.60, 94.02, 72.31, 82.65, 85.83, 80.13, 81.42),
)
_PATIENTS = (
    (83.89, 77.18, 89.55, 81.43, 84.65, 76.09, 89.81, 78.85, 84.91, 74.07, 88.61, 71.43, 82.93, 76.00, 87.30, 77.47),
    (85.44, 85.22, 85.57, 81.44, 85.92, 84.85, 86.38, 78.32, 83.02, 78.95, 83.91, 62.50, 83.55, 85.45, 82.77, 75.20),
    (83.86, 76.79, 90.99, 82.69, 81.85, 75.55, 90.61, 69.86, 83.96, 70.00, 89.47, 71.19, 79.79, 82.56, 77.57, 78.48),
    (86.08, 82.61, 88.55, 83.12, 86.38, 82.02, 88.56, 80.05, 86.79, 94.12, 85.39, 69.57, 85.10, 83.49, 85.90, 78.81),
    (85.80, 89.39, 83.73, 82.18, 87.69, 71.43, 91.60, 69.23, 81.13, 90.91, 80.00, 67.80, 79.79, 91.18, 73.60, 76.07),
    (83.51, 79.32, 86.50, 80.06, 84.38, 78.10, 87.67, 77.49, 79.25, 78.12, 83.13, 67.69, 83.24, 79.20, 85.41, 76.74),
    (83.76, 78.92, 87.39, 80.62, 84.38, 77.66, 87.99, 77.66, 86.79, 80.00, 88.89, 74.07, 83.40, 79.56, 85.44, 76.91),
    (85.82, 82.91, 87.83, 82.65, 86.01, 80.80, 88.71, 79.74, 86.82, 80.10, 89.18, 74.27, 84.63, 82.34, 85.80, 78.30),
    (84.60, 79.94, 88.61, 82.75, 92.00, 81.54, 94.62, 80.30, 88.68, 84.00, 90.12, 77.78, 81.87, 88.46, 77.39, 79.77),
    (87.74, 83.10, 91.88, 86.33, 93.23, 86.89, 94.70, 82.81, 88.68, 81.48, 91.14, 78.57, 84.97, 90.24, 81.08, 83.62),
)


def _f1_rows(rows: Mapping[str, tuple[Method, tuple[float, float, float, float]]]) -> tuple[Row, ...]:
    return tuple(
        Row(name=name, method=method, paper={site: (value,) for site, value in zip(SITES, values, strict=True)})
        for name, (method, values) in rows.items()
    )


_LOSSES = {
    "ResNet34, class": (Method(backbone="resnet34"), (80.49, 59.80, 65.04, 70.54)),
    "ResNet34, class+BMD": (Method(backbone="resnet34", tasks=WITH_BMD), (80.87, 60.64, 68.47, 70.74)),
    "ResNet34, class+position": (Method(backbone="resnet34", tasks=WITH_POSITION), (80.54, 61.49, 65.62, 71.52)),
    "ResNet34, unified": (Method(backbone="resnet34", tasks=UNIFIED), (81.18, 61.70, 70.97, 72.18)),
}
_BACKBONES = {
    "SwinT": (Method(backbone="swint"), (79.14, 60.69, 56.46, 70.19)),
    "SwinT, SwinMM": (Method(backbone="swint", pretraining="SwinMM"), (80.04, 63.51, 58.00, 76.11)),
    "SwinT, TP-SwAV": (Method(backbone="swint", pretraining="tpswav"), (80.00, 61.05, 58.33, 82.44)),
    "SwinT+MoE, TP-SwAV, unified": (
        Method(backbone="swint", pretraining="tpswav", tasks=UNIFIED, experts=EXPERTS),
        (80.98, 64.00, 60.18, 80.31),
    ),
}

TABLES: Mapping[int, Table] = MappingProxyType(
    {
        2: Table(number=2, title="Table 2: osteoporosis by vertebra", level="vertebra", rows=_rows(_VERTEBRAE)),
        3: Table(number=3, title="Table 3: osteoporosis by patient", level="patient", rows=_rows(_PATIENTS)),
        4: Table(number=4, title="Table 4: losses", level="vertebra", rows=_f1_rows(_LOSSES), f1_alone=True),
        5: Table(number=5, title="Table 5: backbones", level="vertebra", rows=_f1_rows(_BACKBONES), f1_alone=True),
    }
)
"""The tables of methods; Table 1 counts what they are trained on."""

COMPOSITION: Mapping[str, tuple[str, tuple[int, ...]]] = MappingProxyType(
    {
        "A": ("Hologic", (1330, 226, 669, 18308, 2980, 510, 1490)),
        "B": ("GE Lunar", (683, 112, 325, 9232, 1220, 200, 610)),
        "C": ("MEDIX", (217, 36, 106, 2716, 801, 129, 398)),
        "D": ("Hologic", (0, 0, 193, 0, 0, 0, 271)),
    }
)
"""Table 1 by site: densitometer; patients to train, validate and test; vertebrae without truth to pretrain on; with truth by part."""
