"""What the second reader is: its network, its patches, its schedule. The small and the full size are two values of one class."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.ct.segmentation.network.predict import CLASSES
from training.errors import TrainingError
from training.loop import LoopOptions
from training.simulation.body import Structure
from training.vertebrae.randomise import Randomisation

STRUCTURES = CLASSES
"""Classes in channel order; the first seven values of :class:`training.simulation.body.Structure`, other bone is background here."""
CLASS_WEIGHTS = (0.4, 2.0, 1.2, 2.0, 1.2, 1.2, 1.0)
WINDOW_HU = (-250.0, 750.0)
SPACING_MM = 3.0


def check_structures() -> None:
    """The channels are the simulation's structures, in its order.

    Raises
    ------
    TrainingError
        Somebody renumbered them.
    """
    expected = [
        Structure.BACKGROUND,
        Structure.BODY,
        Structure.POSTERIOR,
        Structure.DISC,
        Structure.SACRUM,
        Structure.RIB,
        Structure.PELVIS,
    ]
    if [int(structure) for structure in expected] != list(range(len(STRUCTURES))):
        raise TrainingError("the simulation's structures are numbered otherwise than the network's channels")


@dataclass(frozen=True, kw_only=True)
class VertebraOptions:
    """One training run.

    Attributes
    ----------
    channels
        Width of the UNet's stages; it halves the resolution between two of them.
    patch
        Voxels (z, y, x) of a training patch at :data:`SPACING_MM`.
    pool
        Number of simulated patients to learn from; ``validation`` more are kept aside.
    steps_per_epoch
        Batches between two looks at the validation patients.
    start_from
        A bundle whose weights the run begins with, and its sha256; None begins with fresh ones.
    """

    channels: tuple[int, ...] = (24, 48, 96, 128)
    residual_units: int = 1
    patch: tuple[int, int, int] = (80, 64, 64)
    batch: int = 2
    pool: int = 240
    validation: int = 12
    steps_per_epoch: int = 100
    seed: int = 20
    start_from: tuple[Path, str] | None = None
    randomisation: Randomisation = field(default_factory=Randomisation)
    loop: LoopOptions = field(default_factory=LoopOptions)

    def __post_init__(self) -> None:
        multiple = 2 ** (len(self.channels) - 1)
        if any(size % multiple for size in self.patch):
            raise TrainingError(f"the sides of a patch must be multiples of {multiple}, which {self.patch} are not")

    def network_arguments(self) -> dict[str, Any]:
        """Arguments of ``monai.networks.nets.UNet``."""
        return {
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": len(STRUCTURES),
            "channels": list(self.channels),
            "strides": [2] * (len(self.channels) - 1),
            "num_res_units": self.residual_units,
            "norm": "batch",
        }
