"""Parameters of each part of a network beside the paper's 14.8, 7.9, 2.1 and 0.13 million.

usage: python -m training.cxr.parameters [--variant NAME] [--backbone NAME] [--width F]
"""

import argparse
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from inference.cxr.network import RegionRegression
from inference.errors import PermanentError
from training.cxr.options import DensityOptions

PAPER: Mapping[str, float] = MappingProxyType(
    {"feature extractor": 14.8e6, "transformer encoder": 7.9e6, "local regressors": 2.1e6, "global regressor": 0.13e6, "all": 25e6}
)
"""Section III-E, of the proposed model."""
NOTE = (
    "The paper's 2.1 million are 16 regressors of 131,585; fifteen regions have one each, and the global one is the sixteenth. A film has "
    "one channel: with three, VGG-16 has 14,714,688."
)


def parts_of(options: DensityOptions) -> dict[str, int]:
    """How many numbers each part learns; none of the network is made."""
    import torch

    with torch.device("meta"):
        network = RegionRegression(options.chosen.regions, **options.network_arguments())
    parts = {
        "feature extractor": network.backbone,
        "transformer encoder": network.encoder,
        "local regressors": network.local,
        "global regressor": network.overall,
        "all": network,
    }
    return {name: 0 if part is None else sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}


def table(options: DensityOptions) -> str:
    """Markdown; the paper's figures stand beside its own proposed model alone."""
    beside = options.variant == "proposed" and options.backbone == "vgg16" and options.width == 1.0
    lines = [
        f"| {options.chosen.title}, {options.backbone}, width {options.width:g} | parameters | paper, million |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {name} | {count:,} | {PAPER[name] / 1e6 if beside else '–'} |" for name, count in parts_of(options).items()]
    return "\n".join([*lines, "", NOTE] if beside else lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table.

    Raises
    ------
    SystemExit
        2: there is no such network.
    """
    base = DensityOptions()
    parser = argparse.ArgumentParser(prog="python -m training.cxr.parameters", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--variant", default=base.variant)
    parser.add_argument("--backbone", default=base.backbone)
    parser.add_argument("--width", type=float, default=base.width)
    given = parser.parse_args(arguments)
    try:
        print(table(DensityOptions(variant=given.variant, backbone=given.backbone, width=given.width)))
    except (PermanentError, ValueError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
