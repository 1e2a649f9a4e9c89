"""What each network costs: parameters, operations, time and memory for one crop, as a Markdown table.

usage: python -m training.medconv.cost [--networks NAME...] [--width F] [--size VOXELS] [--repeats N] [--threads N]

Operations are counted by torch on tensors without content. Time and memory are measured on the CPU, each network in a process of its own.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import track
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from training.errors import TrainingError
from training.medconv.networks import NETWORKS, Shape, build
from training.memory import peak_mib, resident_mib
from training.workers import worker_pool

_WARM_UP = 2


@dataclass(frozen=True, kw_only=True)
class CostOptions:
    """What is measured.

    Attributes
    ----------
    width, size
        As :func:`training.medconv.networks.build` takes them.
    repeats
        Runs after two that do not count; the median is told.
    threads
        Of torch.
    """

    width: float = 1.0
    size: Shape = (64, 64, 64)
    repeats: int = 9
    threads: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.threads < 1:
            raise TrainingError("a cost needs at least one repeat and one thread")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one crop costs one network.

    Attributes
    ----------
    parameters
        Trained numbers.
    flops
        Floating-point operations of a forward pass; a multiplication and an addition are two.
    latency_ms, cpu_ms
        Median wall time and processor time of a forward pass; on a machine that does other work, too, the second is the one to compare.
    memory_mib
        By how much the process grows at its peak: weights and activations of a forward pass.
    """

    network: str
    parameters: int
    flops: int
    latency_ms: float
    cpu_ms: float
    memory_mib: float


def count_parameters(network: nn.Module) -> int:
    """Trained numbers."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_flops(name: str, *, width: float = 1.0, size: Shape = (64, 64, 64)) -> int:
    """Floating-point operations of convolutions and matrix products for one crop.

    Norms, activations and pools are not counted, as nobody counts them.
    """
    with torch.device("meta"):
        network, image = build(name, width=width, size=size).eval(), torch.empty(1, 1, *size)
    # The plain attention is the one whose products the counter sees on every device.
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        network(image)
    return int(counter.get_total_flops())


def measure(name: str, options: CostOptions) -> Cost:
    """Measure one network in a new process.

    Raises
    ------
    TrainingError
        There is no such network, or it cannot be made in this size.
    """
    flops = count_flops(name, width=options.width, size=options.size)
    with worker_pool(1) as process:
        parameters, (latency_ms, cpu_ms), memory_mib = process.submit(_measure_here, name, options).result()
    return Cost(network=name, parameters=parameters, flops=flops, latency_ms=latency_ms, cpu_ms=cpu_ms, memory_mib=memory_mib)


def _measure_here(name: str, options: CostOptions) -> tuple[int, tuple[float, float], float]:
    """Parameters, median wall and processor time (ms) and growth (MiB) of this process."""
    torch.set_num_threads(options.threads)
    before = resident_mib()
    network = build(name, width=options.width, size=options.size).eval()
    image = torch.zeros(1, 1, *options.size)
    taken_s: list[tuple[float, float]] = []
    with torch.inference_mode():
        for _ in range(_WARM_UP + options.repeats):
            started, busy = time.perf_counter(), time.process_time()
            network(image)
            taken_s.append((time.perf_counter() - started, time.process_time() - busy))
    latency_ms, cpu_ms = (1000 * statistics.median(column) for column in zip(*taken_s[_WARM_UP:], strict=True))
    return count_parameters(network), (latency_ms, cpu_ms), max(0.0, peak_mib() - before)


def table(costs: Sequence[Cost], options: CostOptions) -> str:
    """Markdown, with what was measured and how below it."""
    lines = [
        "| network | parameters (million) | GFLOP | latency (ms) | processor time (ms) | memory (MiB) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in costs:
        size = f"{one.parameters / 1e6:.2f} | {one.flops / 1e9:.2f}"
        lines.append(f"| {one.network} | {size} | {one.latency_ms:.0f} | {one.cpu_ms:.0f} | {one.memory_mib:.0f} |")
    z, y, x = options.size
    threads = f"{options.threads} CPU thread{'s' if options.threads > 1 else ''}"
    said = (
        f"One crop of {z} x {y} x {x} voxels, width {options.width:g}, float32. GFLOP: convolutions and matrix products of a forward pass, "
        f"multiplication and addition counted as two. Latency and processor time: medians of {options.repeats} passes, {threads}; they "
        "differ where the machine did other work, too. Memory: growth of the process at its peak, weights and activations."
    )
    return "\n".join([*lines, "", said]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table on stdout; progress goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.medconv.cost", description="What each network costs.")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--width", type=float, default=1.0, help="factor on all channels")
    parser.add_argument("--size", type=int, default=64, help="voxels a side")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        options = CostOptions(width=given.width, size=(given.size,) * 3, repeats=given.repeats, threads=given.threads)
        bar = track(given.networks, description="measuring", console=Console(stderr=True), disable=not sys.stderr.isatty())
        print(table([measure(name, options) for name in bar], options), end="")
    except TrainingError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
