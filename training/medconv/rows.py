"""The rows of MedConv's tables by the names the paper gives them, and what each one trains.

A name is a network of timm and what was added to it, as in ``resnet50_a1_in1k+pretrain+balce``. The paper explains none of the additions
in its text; what they are taken for here stands in :data:`ADDITIONS`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from training.errors import TrainingError
from training.medconv.networks import NETWORKS
from training.medconv.options import MedconvOptions

WINDOWS = ("trabecular", "soft", "bone")
"""Of ``+windows``; all other rows see the first alone."""
SAM_RHO = 0.05
"""Of ``+sum``, the radius of Foret et al. 2021."""

_TIMM = MappingProxyType(
    {
        "resnet101c3": "resnet10t",
        "resnet141c3": "resnet14t",
        "mobilenetv2_100": "mobilenetv2",
        "resnext50_32x4d": "resnext50",
        "efficientnet": "efficientnet_b0",
    }
)
"""What timm calls ``resnet10t.c3_in1k`` and ``resnet14t.c3_in1k`` the paper prints without the dot and with a 1 for the t."""
_RECIPE = re.compile(r"_(?:(?:a1h?|c3|ra|tv)_)?in1k$")

ADDITIONS: Mapping[str, str] = MappingProxyType(
    {
        "pretrain": "begins with weights from ImageNet, inflated to 3D",
        "balce": "logit-adjusted cross-entropy, tau1 = 1",
        "balcug": "balanced augmentation: rare classes are changed more",
        "windows": "three HU windows as channels instead of one",
        "resample": "every epoch shows each class as often",
        "sum": "sharpness-aware minimisation, which the text calls SAM",
        "schedulefree": "schedule-free optimisation instead of the cosine",
        "trainparams": "read as weights from ImageNet with every parameter trained, which is what pretrain does; the text does not say",
    }
)
"""What the additions to a name mean here."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row's method.

    Attributes
    ----------
    network
        A name of :data:`training.medconv.networks.NETWORKS`.
    pretrain
        Begin with a file of weights, where there is one for the network.
    balce
        Logit-adjusted loss with ``tau1``; else plain cross-entropy.
    tau2
        Post-hoc adjustment. The paper's table of tau2 has the Bal-CE rows of the other tables at 1.
    """

    network: str
    pretrain: bool = False
    balce: bool = False
    tau1: float = 1.0
    tau2: float = 0.0
    balanced_augmentation: bool = False
    windows: bool = False
    resample: bool = False
    sam: bool = False
    schedule_free: bool = False


MEDCONV = Method(network="resnet50", pretrain=True, balce=True, tau2=0.5)
"""``MedConv (Ours)`` of Table II."""


def parse_method(name: str) -> Method:
    """The method behind a row's name.

    Raises
    ------
    TrainingError
        The network or an addition is not known.
    """
    if name.lower().replace(" ", "") in ("medconv", "medconv(ours)"):
        return MEDCONV
    first, *added = (part.strip() for part in name.split("+"))
    network = _RECIPE.sub("", first.replace(".", "_").lower())
    network = _TIMM.get(network, network)
    if network not in NETWORKS:
        raise TrainingError(f"the row {name!r} names the network {first!r}, which is none of {', '.join(NETWORKS)}")
    said = {item.lower().replace("schdule", "schedule") for item in added}
    if unknown := sorted(said - ADDITIONS.keys()):
        raise TrainingError(f"the row {name!r} adds {unknown[0]!r}, which is none of {', '.join(ADDITIONS)}")
    return Method(
        network=network,
        pretrain=bool(said & {"pretrain", "trainparams"}),
        balce="balce" in said,
        tau2=1.0 if "balce" in said else 0.0,
        balanced_augmentation="balcug" in said,
        windows="windows" in said,
        resample="resample" in said,
        sam="sum" in said,
        schedule_free="schedulefree" in said,
    )


def options_of(method: Method, base: MedconvOptions, weights: Mapping[str, Path], seed: int = 0) -> MedconvOptions:
    """The options of a row's run.

    Parameters
    ----------
    base
        Size, crop, batch and schedule; the method settles the rest.
    weights
        Files with pretrained weights by network.
    seed
        Of the first weights, augmentation and order.
    """
    adjusted = method.balce and method.tau1 > 0  # at 0 it is plain cross-entropy: the same run
    loop = replace(
        base.loop,
        seed=seed,
        sam_rho=SAM_RHO if method.sam else None,
        schedule_free=method.schedule_free,
        schedule="constant" if method.schedule_free else base.loop.schedule,
    )
    return replace(
        base,
        network=method.network,
        windows=WINDOWS if method.windows else WINDOWS[:1],
        loss="balce" if adjusted else "ce",
        tau1=method.tau1 if adjusted else 0.0,
        tau2=method.tau2,
        augmentation="balanced" if method.balanced_augmentation else "none",
        resampling="balanced" if method.resample else "natural",
        weights=weights.get(method.network) if method.pretrain else None,
        seed=seed,
        loop=loop,
    )


def remarks(name: str, method: Method, weights: Mapping[str, Path]) -> str:
    """What must be known beside a row's figures."""
    said = []
    if method.pretrain and method.network not in weights:
        said.append("from scratch: no pretrained weights were given")
    if "c3_in1k" in name:
        said.append(f"timm's {method.network}.c3_in1k, misprinted")
    if "trainparams" in name.lower():
        said.append("trainParams is not explained: read as pretrain")
    return "; ".join(said)
