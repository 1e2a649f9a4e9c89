"""Cases that are made, not painted: a block of bone whose attenuation follows the T-score."""

from collections.abc import Sequence

import numpy as np

from training.data.labels import who_label
from training.loop import LoopOptions
from training.medconv.crops import Case, CropOptions
from training.medconv.options import MedconvOptions

BOX = CropOptions(shape=(16, 16, 16), spacing_mm=(4.0, 4.0, 4.0))


def case(number: int, t_score: float, shape: tuple[int, int, int] = BOX.shape) -> Case:
    """A block of ``200 + 50 T`` HU with a little noise."""
    rng = np.random.default_rng(number)
    hu = np.full(shape, -1024, dtype=np.int16)
    inner = tuple(slice(size // 4, size - size // 4) for size in shape)
    block = 200 + 50 * t_score + rng.normal(0, 5, hu[inner].shape)
    hu[inner] = np.rint(block).astype(np.int16)
    return Case(patient=f"made-{number}", hu=hu, label=who_label(t_score).class_index, t_score=t_score)


def cases(t_scores: Sequence[float], first: int = 0, shape: tuple[int, int, int] = BOX.shape) -> tuple[Case, ...]:
    """One case for each T-score."""
    return tuple(case(first + index, t_score, shape) for index, t_score in enumerate(t_scores))


def options(**changes: object) -> MedconvOptions:
    """A ResNet-18 of an eighth of the width on small boxes, for one epoch."""
    loop = LoopOptions(epochs=1, learning_rate=3e-3, monitor="auc", maximise=True, device="cpu")
    given: dict[str, object] = {"network": "resnet18", "width": 0.125, "crop": BOX, "batch": 4, "augmentation": "none", "loop": loop}
    return MedconvOptions(**(given | changes))  # type: ignore[arg-type]
