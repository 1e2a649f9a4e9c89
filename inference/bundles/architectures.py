"""Which networks a bundle may hold. ``_target_`` of a bundle is looked up here and never imported as it stands.

A new network is one more entry of :data:`ARCHITECTURES` (and of :data:`ArchitectureName`); its ``arguments`` list what a bundle may set,
so that no bundle can make a constructor fetch or open anything.
"""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from inference.bundles.errors import BundleError

if TYPE_CHECKING:  # torch loads when a network is built
    from torch import nn

ArchitectureName = Literal[
    "unet",
    "segresnet",
    "resnet18",
    "resnet34",
    "resnet50",
    "densenet121",
    "cnn21",
    "density_ensemble",
    "landmark_graph",
    "vertebra_experts",
]

MAX_NUMBER = 65_536
MAX_ITEMS = 32
MAX_DEPTH = 3
MAX_TEXT = 64


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network that a bundle may ask for.

    Attributes
    ----------
    module, factory
        Where its constructor is.
    arguments
        The arguments that a bundle may give.
    inputs, outputs
        The arguments that set the input and output channels.
    """

    module: str
    factory: str
    arguments: frozenset[str]
    inputs: str
    outputs: str

    @property
    def target(self) -> str:
        """As MONAI writes it in ``_target_``."""
        return f"{self.module}.{self.factory}"


_NETS = "monai.networks.nets"
_UNET = "spatial_dims in_channels out_channels channels strides kernel_size up_kernel_size num_res_units act norm dropout bias adn_ordering"
_SEGRESNET = "spatial_dims init_filters in_channels out_channels dropout_prob act norm use_conv_final blocks_down blocks_up upsample_mode"
_RESNET = (
    "spatial_dims n_input_channels num_classes conv1_t_size conv1_t_stride no_max_pool shortcut_type widen_factor bias_downsample act norm"
)
_DENSENET = "spatial_dims in_channels out_channels init_features growth_rate block_config bn_size act norm dropout_prob"


_CNN21 = "spatial_dims in_channels classes width"
_DENSITY = "spatial_dims in_channels out_channels backbone fusion width batch_norm layers heads"
_EXPERTS = "spatial_dims in_channels out_channels backbone width experts devices attention_window"
_LANDMARKS = "spatial_dims in_channels out_channels backbone width pyramid embedding hidden steps"


def _listed(factory: str, arguments: str, inputs: str = "in_channels", outputs: str = "out_channels") -> Architecture:
    return Architecture(module=_NETS, factory=factory, arguments=frozenset(arguments.split()), inputs=inputs, outputs=outputs)


def _ours(module: str, factory: str, arguments: str) -> Architecture:
    names = frozenset(arguments.split())
    return Architecture(module=module, factory=factory, arguments=names, inputs="in_channels", outputs="out_channels")


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "unet": _listed("UNet", _UNET),
        "segresnet": _listed("SegResNet", _SEGRESNET),
        "resnet18": _listed("resnet18", _RESNET, "n_input_channels", "num_classes"),
        "resnet34": _listed("resnet34", _RESNET, "n_input_channels", "num_classes"),
        "resnet50": _listed("resnet50", _RESNET, "n_input_channels", "num_classes"),
        "densenet121": _listed("DenseNet121", _DENSENET),
        "cnn21": Architecture(
            module="inference.dxa.network", factory="Cnn21", arguments=frozenset(_CNN21.split()), inputs="in_channels", outputs="classes"
        ),
        "density_ensemble": _ours("inference.cxr.network", "DensityEnsemble", _DENSITY),
        "landmark_graph": _ours("inference.cxr.landmarks", "LandmarkGraph", _LANDMARKS),
        "vertebra_experts": _ours("inference.ct.vertebra_experts", "VertebraExperts", _EXPERTS),
    }
)


@dataclass(frozen=True, kw_only=True)
class NetworkDefinition:
    """An architecture with its arguments: ``network_def`` of ``configs/inference.json``.

    Raises
    ------
    BundleError
        The architecture is not listed, or an argument is not one that a bundle may give.
    """

    architecture: str
    arguments: Mapping[str, Any]

    def __post_init__(self) -> None:
        listed = ARCHITECTURES.get(self.architecture)
        if listed is None:
            raise BundleError(f"the architecture {self.architecture!r} is not one that Osteon builds; known: {', '.join(ARCHITECTURES)}")
        for name, value in self.arguments.items():
            if name not in listed.arguments:
                raise BundleError(f"network_def: {self.architecture} takes no argument {name!r} from a bundle")
            _check_value(value, name, 0)
        for name in (listed.inputs, listed.outputs, "spatial_dims"):
            if not isinstance(self.arguments.get(name), int) or isinstance(self.arguments.get(name), bool):
                raise BundleError(f"network_def: {self.architecture} needs the number {name!r}")

    @property
    def channels(self) -> tuple[int, int, int]:
        """Image axes, input channels, output channels."""
        listed = ARCHITECTURES[self.architecture]
        return self.arguments["spatial_dims"], self.arguments[listed.inputs], self.arguments[listed.outputs]

    def build(self) -> "nn.Module":
        """The network with fresh weights (torch's default device decides where they lie).

        Raises
        ------
        BundleError
            The constructor does not take these arguments.
        """
        listed = ARCHITECTURES[self.architecture]
        factory = getattr(importlib.import_module(listed.module), listed.factory)
        try:
            network: nn.Module = factory(**self.arguments)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError, AssertionError) as error:
            raise BundleError(f"network_def: {listed.target} cannot be made from these arguments: {error}") from error
        return network

    def plain(self) -> dict[str, Any]:
        """As MONAI writes it."""
        return {"_target_": ARCHITECTURES[self.architecture].target, **self.arguments}


def parse_network_def(value: object) -> NetworkDefinition:
    """Read MONAI's ``network_def``.

    Raises
    ------
    BundleError
        ``_target_`` is not listed, or another argument is given than may be.
    """
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
        raise BundleError("configs/inference.json: network_def must be an object with a _target_")
    target = value["_target_"]
    name = next((name for name, listed in ARCHITECTURES.items() if listed.target == target), None)
    if name is None:
        known = ", ".join(listed.target for listed in ARCHITECTURES.values())
        raise BundleError(f"network_def: _target_ {target[:MAX_TEXT]!r} is not allowed; allowed: {known}")
    return NetworkDefinition(architecture=name, arguments={key: item for key, item in value.items() if key != "_target_"})


def _check_value(value: Any, name: str, depth: int) -> None:
    """Numbers, words, and lists or objects of them; nothing that MONAI's parser would evaluate ($) or look up (@, %)."""
    fits = False
    if isinstance(value, bool) or value is None:
        fits = True
    elif isinstance(value, int | float):
        fits = math.isfinite(value) and abs(value) <= MAX_NUMBER
    elif isinstance(value, str):
        fits = len(value) <= MAX_TEXT and not value.startswith(("$", "@", "%"))
    elif isinstance(value, list | tuple) and depth < MAX_DEPTH and len(value) <= MAX_ITEMS:
        fits = True
        for item in value:
            _check_value(item, name, depth + 1)
    elif isinstance(value, dict) and depth < MAX_DEPTH and len(value) <= MAX_ITEMS and not any(key.startswith("_") for key in value):
        fits = True
        for item in value.values():
            _check_value(item, name, depth + 1)
    if not fits:
        raise BundleError(f"network_def: {name} has a value that a bundle may not give: {str(value)[:MAX_TEXT]!r}")
