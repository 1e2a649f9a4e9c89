"""What an ensemble says of a film, as plain data: nothing here loads torch, for the node's own process reads it."""

from dataclasses import dataclass

import numpy as np

from inference.cxr.rois import Floats, Rois


@dataclass(frozen=True, kw_only=True)
class LevelEstimate:
    """One vertebra.

    Attributes
    ----------
    bmd_g_cm2
        The mean of the folds' networks, on the scale of the densitometer that they learnt from.
    spread_g_cm2
        Their standard deviation about it: how far they disagree, which is less than how far they may all be off.
    members_g_cm2
        What each of them said, in the order of the folds.
    attention
        (15,) how much the networks take from each region, in the order of :data:`inference.cxr.rois.REGION_NAMES`; sums to 1. None of
        networks that do not attend.
    """

    level: str
    bmd_g_cm2: float
    spread_g_cm2: float
    members_g_cm2: Floats
    attention: Floats | None


@dataclass(frozen=True, kw_only=True)
class FilmEstimate:
    """One film: where its regions lie (pixels of the film), and each level's estimate."""

    landmarks: Floats
    rois: Rois
    levels: tuple[LevelEstimate, ...]

    @property
    def attention(self) -> Floats | None:
        """(15,) the mean over the levels; None of networks that do not attend."""
        found = [level.attention for level in self.levels if level.attention is not None]
        return np.asarray(np.mean(found, axis=0), dtype=np.float64) if found else None
