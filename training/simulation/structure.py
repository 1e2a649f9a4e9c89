"""Names of what a voxel of a painted patient belongs to."""

from enum import IntEnum


class Structure(IntEnum):
    """Which bone a voxel belongs to; hip bones and femurs are ``PELVIS``."""

    BACKGROUND = 0
    BODY = 1
    POSTERIOR = 2
    DISC = 3
    SACRUM = 4
    RIB = 5
    PELVIS = 6
    OTHER_BONE = 7
