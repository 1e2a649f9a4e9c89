"""The physics under every projection: coefficients, composition, Beer and Lambert, against values printed elsewhere and by hand."""

import numpy as np
import pytest

from training.simulation.mineral import attenuation_hu
from training.simulation.xray.attenuation import DENSITY_G_CM3, Material, mass_attenuation_cm2_g, monochromatic, tube_spectrum
from training.simulation.xray.composition import BASIS, decompose
from training.simulation.xray.projection import Detector, LineIntegrals

pytestmark = pytest.mark.unit

# NIST Standard Reference Database 126, Table 4, the mixture's own entry (not our sum of elements): keV, cm2/g.
NIST_MIXTURES = [
    (Material.WATER, 20.0, 0.8096),
    (Material.WATER, 60.0, 0.2059),
    (Material.WATER, 100.0, 0.1707),
    (Material.LEAN, 20.0, 0.8205),
    (Material.LEAN, 60.0, 0.2048),
    (Material.LEAN, 100.0, 0.1693),
    (Material.FAT, 20.0, 0.5677),
    (Material.FAT, 60.0, 0.1974),
    (Material.FAT, 100.0, 0.1688),
]


@pytest.mark.parametrize(("material", "energy_kev", "expected"), NIST_MIXTURES)
def test_sums_of_elements_are_the_tabulated_mixtures(material: Material, energy_kev: float, expected: float) -> None:
    assert float(mass_attenuation_cm2_g(material, energy_kev)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("energy_kev", [5.0, 200.0])
def test_energies_outside_the_table_are_refused(energy_kev: float) -> None:
    with pytest.raises(ValueError, match="10 to 150 keV"):
        mass_attenuation_cm2_g(Material.WATER, energy_kev)


def test_more_filtration_and_voltage_harden_the_beam() -> None:
    assert tube_spectrum(125.0).mean_kev > tube_spectrum(90.0).mean_kev + 5
    assert tube_spectrum(90.0, filtration_mm_al=10.0).mean_kev > tube_spectrum(90.0).mean_kev + 3
    assert tube_spectrum(125.0).weight.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="kVp"):
        tube_spectrum(20.0)


def test_a_water_phantom_passes_what_beer_and_lambert_say() -> None:
    """Water is lean tissue of the same attenuation here, so the exponent is that of the basis at the energy of the scan."""
    water = decompose(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))
    detector = Detector(first_u_mm=0, first_v_mm=0, pitch_mm=1, rows=1, columns=1)
    depth_cm = 20.0
    mass = np.stack(water.arrays()) * np.float32(depth_cm)
    passed = LineIntegrals(mass_g_cm2=mass, detector=detector).transmission(monochromatic(70.0))
    expected = np.exp(-float(mass_attenuation_cm2_g(Material.WATER, 70.0)) * DENSITY_G_CM3[Material.WATER] * depth_cm)
    assert passed[0, 0] == pytest.approx(expected, rel=1e-4)


def test_a_spectrum_hardens_on_its_way() -> None:
    detector = Detector(first_u_mm=0, first_v_mm=0, pitch_mm=1, rows=1, columns=2)
    mass = np.zeros((len(BASIS), 1, 2), np.float32)
    mass[BASIS.index(Material.LEAN)] = [[10.0, 20.0]]
    thin, thick = -np.log(LineIntegrals(mass_g_cm2=mass, detector=detector).transmission(tube_spectrum(120.0)))[0]
    assert 1.8 * thin < thick < 2 * thin


@pytest.mark.parametrize(("hu", "mineral"), [(0.0, 0.0), (-100.0, 0.0), (50.0, 0.0), (-850.0, 0.0), (-1000.0, 0.0)])
def test_a_mixture_attenuates_as_the_scan_said(hu: float, mineral: float) -> None:
    made = decompose(np.full(1, hu, np.float32), np.full(1, mineral, np.float32))
    assert made.relative_attenuation()[0] == pytest.approx(1 + hu / 1000, abs=1e-5)


@pytest.mark.parametrize("vbmd", [20.0, 80.0, 160.0, 400.0, 900.0])
def test_bone_keeps_its_mineral_and_its_attenuation(vbmd: float) -> None:
    hu = attenuation_hu(vbmd)
    made = decompose(np.full(1, hu, np.float32), np.full(1, vbmd, np.float32))
    assert made.mineral[0] == pytest.approx(vbmd / 1000)
    assert made.relative_attenuation()[0] == pytest.approx(1 + hu / 1000, rel=1e-5)
    assert made.fat[0] + made.lean[0] > 0.2


def test_what_tissue_is_made_of() -> None:
    muscle, fat, lung, metal = (decompose(np.full(1, hu, np.float32), np.zeros(1, np.float32)) for hu in (55.0, -105.0, -850.0, 3071.0))
    assert muscle.lean[0] > 1.0
    assert muscle.fat[0] == 0
    assert fat.fat[0] > 0.9
    assert fat.lean[0] == pytest.approx(0, abs=0.05)
    assert lung.fat[0] == 0
    assert lung.lean[0] == pytest.approx(0.15, abs=0.01)
    assert metal.metal[0] == pytest.approx(DENSITY_G_CM3[Material.METAL])
    assert metal.mineral[0] == 0
