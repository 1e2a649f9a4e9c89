"""Seeds and states of the three global generators: torch, numpy, random."""

import random
from typing import Any

import numpy as np
import torch


def derived_seed(*parts: int) -> int:
    """One seed below 2^63 from several numbers, without the correlations of sums (numpy's ``SeedSequence``)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seed_everything(seed: int) -> None:
    """Seed torch (all devices), numpy's global generator and random."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state() -> dict[str, Any]:
    """The state of all generators as tensors and plain values, which need no unpickling of code."""
    algorithm, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, words, next_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(algorithm), torch.from_numpy(np.asarray(keys, dtype=np.int64)), int(position), int(has_gauss), float(gauss)],
        "random": [version, list(words), next_gauss],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Go on where :func:`random_state` was taken. Generators of CUDA devices that are no longer there are left out."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    algorithm, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((algorithm, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, words, next_gauss = state["random"]
    random.setstate((version, tuple(words), next_gauss))


class SameNoise:
    """Makes two passes through a network draw the same dropout: remember before the first, repeat before the second."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._states = (torch.get_rng_state(), torch.cuda.get_rng_state(device) if self._cuda else None)

    def repeat(self) -> None:
        """Set torch's generators back."""
        on_cpu, on_cuda = self._states
        torch.set_rng_state(on_cpu)
        if self._cuda is not None and on_cuda is not None:
            torch.cuda.set_rng_state(on_cuda, self._cuda)
