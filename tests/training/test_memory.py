"""Peak and resident memory of a process, by what it allocates."""

import subprocess
import sys

import numpy as np
import pytest

from training.memory import peak_mib, resident_mib

pytestmark = pytest.mark.unit

CHILD = """
import numpy as np
from training.memory import peak_mib, resident_mib
before = resident_mib()
held = np.ones(64 << 17)
held_mib, peak_held = resident_mib(), peak_mib()
del held
print(before, held_mib, peak_held, resident_mib(), peak_mib())
"""


def test_the_peak_stays_what_is_held_goes() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    before, held, peak, after, peak_after = (float(word) for word in done.stdout.split())
    assert 60 < held - before < 80
    assert peak >= held - 1
    assert after < held - 50
    assert peak_after >= peak - 1


def test_a_child_s_peak_is_its_own() -> None:
    parent = np.ones(256 << 17)
    done = subprocess.run(
        [sys.executable, "-c", "from training.memory import peak_mib; print(peak_mib())"], capture_output=True, text=True, check=True
    )
    assert parent.nbytes >> 20 == 256
    assert float(done.stdout) < 128 < peak_mib()
    assert resident_mib() <= peak_mib() + 1
