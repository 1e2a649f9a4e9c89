"""Simulated scans that several tests look at; each is made once."""

import pytest

from training.simulation import AcquisitionParameters, FieldOfView, PatientParameters, SimulatedCt, simulate_ct

COARSE = AcquisitionParameters(rows=128, columns=128, pixel_spacing_mm=3.0, slice_spacing_mm=3.0)


@pytest.fixture(scope="session")
def abdomen() -> SimulatedCt:
    """A plain native abdomen at 3 mm."""
    return simulate_ct(PatientParameters(seed=1, sex="M", body_scale=1.0, trabecular_hu=115.0), COARSE)


@pytest.fixture(scope="session")
def lumbar() -> SimulatedCt:
    """A small reconstruction around the lumbar spine, nearly without noise."""
    return simulate_ct(
        PatientParameters(seed=2, trabecular_hu=90.0, scoliosis_deg=5.0, rotation_deg=4.0, roll_deg=5.0, tilt_deg=3.0, yaw_deg=2.0),
        AcquisitionParameters(
            rows=100, columns=100, pixel_spacing_mm=1.2, slice_spacing_mm=1.2, noise_sd_hu=1.0, field_of_view=FieldOfView.LUMBAR
        ),
    )
