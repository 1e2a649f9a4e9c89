"""What stands for a set of films, so that a run is resumed with the same ones only."""

import hashlib
from collections.abc import Sequence

import numpy as np

from training.cxr.cases import Film


def fingerprint(films: Sequence[Film]) -> str:
    """Of patients, pixels, landmarks and densities."""
    digest = hashlib.sha256()
    for film in films:
        digest.update(f"{film.patient}\0{film.spacing_mm!r}\0{film.device}\0".encode())
        for array in (film.image, film.landmarks, film.bmd_g_cm2, film.t_scores):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
