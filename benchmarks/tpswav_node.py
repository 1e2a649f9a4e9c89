"""What the experts add to a CT: seconds and memory of reading every visible vertebra, at the size of the paper.

usage: python -m benchmarks.tpswav_node [--vertebrae 17] [--backbone resnet34] [--threads 2] [--width 1]
"""

import argparse
import resource
import time
from collections.abc import Sequence

import numpy as np
import torch

from inference.ct.crop import crop_around
from inference.ct.vertebra_experts import VertebraExperts
from inference.volume import Volume
from inference.windows import window

SIDE, SPACING_MM = 64, 1.0


def volume() -> tuple[Volume, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """A part of a scan with slices of 1 mm, and a body of 40 x 34 x 26 mm in its middle."""
    hu = np.rint(np.random.default_rng(0).normal(60, 40, (140, 256, 256))).astype(np.int16)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 0.8], [0, 0.8, 0], [1.0, 0, 0]])
    mask = np.zeros(hu.shape, dtype=bool)
    mask[57:83, 107:149, 103:153] = True
    return Volume(hu=hu, affine=affine), mask


def read(vertebrae: int, backbone: str, width: float) -> tuple[float, float, float]:
    """Seconds of cropping and of the network, one vertebra after the other, as the node does it; and of the processors for the network."""
    network = VertebraExperts(backbone=backbone, width=width).eval()
    scan, mask = volume()
    began = time.perf_counter()
    crops = [crop_around(scan, mask, (SIDE,) * 3, (SPACING_MM,) * 3, margin_mm=2.0, masked=False) for _ in range(vertebrae)]
    cropped, worked = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for crop in crops:
            network.read(torch.from_numpy(window("trabecular").apply(crop))[None, None])
    return cropped - began, time.perf_counter() - cropped, time.process_time() - worked


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what the experts add."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tpswav_node", description="What the experts add to a CT.")
    parser.add_argument("--vertebrae", type=int, default=17)
    parser.add_argument("--backbone", default="resnet34")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    parameters = sum(one.numel() for one in VertebraExperts(backbone=given.backbone, width=given.width).parameters())
    crop_s, network_s, busy_s = read(given.vertebrae, given.backbone, given.width)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    what = f"{given.backbone} of width {given.width:g} ({parameters:,} numbers), {given.threads} threads"
    print(f"{given.vertebrae} vertebrae of {SIDE} x {SIDE} x {SIDE} voxels, {what}:")
    print(f"{crop_s:.1f} s of cropping, {network_s:.1f} s of the network ({busy_s:.1f} s of the processors); peak {peak:.2f} GB")


if __name__ == "__main__":
    main()
