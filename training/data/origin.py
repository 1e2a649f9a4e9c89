"""Whether a manifest lists patients or simulated ones."""

import re

from inference.bundles import TrainedOn
from training.data.rows import Manifest
from training.simulation.truth_file import TRUTH_NAME

_SIMULATED_ID = re.compile(r"SIM\d{6,}-[0-9A-F]{6}")
"""As :func:`training.simulation.identity.patient_id` writes it."""


def origin(manifest: Manifest) -> TrainedOn:
    """Patients, unless a single one is known to be simulated: by the ID that the simulation gives, or by the truth beside the images."""
    simulated = any(
        _SIMULATED_ID.fullmatch(row.patient_id) or (row.path is not None and (row.path.parent / TRUTH_NAME).exists())
        for row in manifest.used
    )
    return TrainedOn.SIMULATED_PATIENTS if simulated else TrainedOn.PATIENTS
