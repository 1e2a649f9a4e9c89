"""From a film in its one form to the density of L1-L4: landmarks, regions, and what an ensemble's networks say of them.

The caller loads both networks (:func:`inference.bundles.load_network`); torch loads when this runs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.cxr.estimated import FilmEstimate, LevelEstimate
from inference.cxr.regions import crop_regions, reference_of, with_whole
from inference.cxr.rois import Floats, rois_of

if TYPE_CHECKING:  # torch takes two seconds to load
    from inference.cxr.network import DensityEnsemble


def level_of(target: str) -> str:
    """The vertebra of an output that is called as in ``l1_fold1_bmd_g_cm2``."""
    return target.partition("_")[0].upper()


def estimate_density(
    image: NDArray[np.floating], landmarks: Floats, network: "DensityEnsemble", targets: Sequence[str], size: int
) -> FilmEstimate:
    """What an ensemble says of a film.

    Parameters
    ----------
    image
        (rows, columns), upright, bone bright.
    landmarks
        (16, 2) in its pixels.
    network, targets, size
        Of a bundle: its network, its outputs by name, and the side of a region in pixels.

    Raises
    ------
    Refusal
        ``LANDMARKS_IMPLAUSIBLE`` or ``ROI_OUTSIDE_FILM``.
    """
    import torch

    shape = (image.shape[0], image.shape[1])
    rois = rois_of(landmarks, shape)
    regions = crop_regions(image, with_whole(rois, shape), size, reference=reference_of(image, landmarks))
    given = torch.from_numpy(regions)[None]
    with torch.inference_mode():
        answer, shares = network.with_attention(given)
    said = answer[0].double().numpy()
    attention = None if shares is None else shares[0].double().numpy()
    columns: dict[str, list[int]] = {}
    for index, target in enumerate(targets):
        columns.setdefault(level_of(target), []).append(index)
    levels = tuple(
        LevelEstimate(
            level=level,
            bmd_g_cm2=float(said[chosen].mean()),
            spread_g_cm2=float(said[chosen].std()),
            members_g_cm2=np.asarray(said[chosen], dtype=np.float64),
            attention=None if attention is None else np.asarray(attention[chosen].mean(axis=0), dtype=np.float64),
        )
        for level, chosen in columns.items()
    )
    return FilmEstimate(landmarks=landmarks, rois=rois, levels=levels)
