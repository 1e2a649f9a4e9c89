"""What the texture pool costs: vertebrae an hour on one core, and what 30,000 of them take.

usage: python -m benchmarks.tpswav_pool [--vertebrae N] [--side VOXELS] [--window VOXELS] [--step VOXELS]
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.tpswav.glcm import FEATURES, GlcmOptions
from training.tpswav.pool import PoolOptions, TexturePool

NIGHT_H = 12.0
WANTED = 30_000
"""Vertebrae of the paper's pretraining, in round figures."""


def bone(side: int, seed: int) -> NDArray[np.int16]:
    """A noisy crop; the cost does not depend on what it shows."""
    return np.rint(np.random.default_rng(seed).normal(120, 90, (side, side, side))).astype(np.int16)


def measured(vertebrae: int, side: int, options: GlcmOptions) -> tuple[float, float, float, float]:
    """Seconds of the processor a vertebra to make and keep its maps, and to draw two views from the disk; bytes of maps and of the crop."""
    crops = [bone(side, seed) for seed in range(vertebrae)]
    with tempfile.TemporaryDirectory() as folder:
        pool = TexturePool(PoolOptions(glcm=options), Path(folder))
        began = time.process_time()
        for crop in crops:
            pool.maps(crop)
        made = time.process_time()
        for seed, crop in enumerate(crops):
            pool.members(crop, np.random.default_rng(seed).choice(FEATURES, size=2, replace=False).tolist())
        drawn = time.process_time()
        kept = sum(file.stat().st_size for file in Path(folder).glob("*.npz"))
    return (made - began) / vertebrae, (drawn - made) / vertebrae, kept / vertebrae, float(crops[0].nbytes)


def told(vertebrae: int, side: int, options: GlcmOptions) -> str:
    """The figures in words."""
    make_s, draw_s, kept, crop = measured(vertebrae, side, options)
    hours = WANTED * make_s / 3600
    return "\n".join(
        [
            f"{vertebrae} crops of {side} x {side} x {side} voxels, windows of {options.window} in steps of {options.step}, one core:",
            f"  {3600 / make_s:,.0f} vertebrae an hour ({make_s:.3f} s of the processor each)",
            f"  {WANTED:,} vertebrae: {hours:.1f} h on one core ({'within' if hours <= NIGHT_H else 'more than'} a night of {NIGHT_H:g} h)",
            f"  on disk: {WANTED * kept / 1e9:.1f} GB of maps beside {WANTED * crop / 1e9:.1f} GB of crops",
            f"  two views drawn from the disk: {draw_s * 1000:.0f} ms a vertebra",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what the pool costs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tpswav_pool", description="What the texture pool costs.")
    parser.add_argument("--vertebrae", type=int, default=20)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--window", type=int, default=GlcmOptions.window)
    parser.add_argument("--step", type=int, default=GlcmOptions.step)
    given = parser.parse_args(arguments)
    print(told(given.vertebrae, given.side, GlcmOptions(window=given.window, step=given.step)))


if __name__ == "__main__":
    main()
