"""From a verified bundle to a network that runs. Here torch and monai load; each network is held once in a process."""

import hashlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inference.bundles.architectures import NetworkDefinition
from inference.bundles.bundle import Bundle
from inference.bundles.errors import BundleError
from inference.bundles.weights import FLOATING, TensorSpec

if TYPE_CHECKING:  # torch takes two seconds to load
    from torch import Tensor, nn

_NETWORKS: "dict[str, nn.Module]" = {}
_LOCK = threading.Lock()


def load_network(bundle: Bundle) -> "nn.Module":
    """The network with the bundle's weights: on the CPU, float32, in evaluation mode, without gradients. Callers share it.

    Raises
    ------
    BundleError
        The weights are not those of the architecture, or the file has changed since the bundle was verified.
    """
    with _LOCK:
        if bundle.sha256 not in _NETWORKS:
            _NETWORKS[bundle.sha256] = read_network(bundle)
        return _NETWORKS[bundle.sha256]


def read_network(bundle: Bundle) -> "nn.Module":
    """A network of the caller's own; otherwise as :func:`load_network`."""
    from safetensors.torch import load

    model = check_signature(bundle.network, bundle.tensors)
    content = bundle.weights_path.read_bytes()
    if hashlib.sha256(content).hexdigest() != bundle.weights_sha256:
        raise BundleError(f"{bundle.weights_path}: the weights have changed since the bundle was verified")
    state = {name: _widened(tensor) for name, tensor in load(content).items()}
    model.load_state_dict(state, strict=True, assign=True)
    left = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    if left:
        raise BundleError(f"the architecture {bundle.network.architecture} holds {left[0]}, which its weights do not")
    return model.requires_grad_(requires_grad=False).eval()


def check_signature(network: NetworkDefinition, tensors: Mapping[str, TensorSpec]) -> "nn.Module":
    """Compare names, shapes and types of the weights with what the architecture makes.

    Returns
    -------
    nn.Module
        The architecture without weights (on the meta device).

    Raises
    ------
    BundleError
        Naming the first difference.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class WithoutDrawing(TorchFunctionMode):
        """First weights are replaced anyway, and normal ones on the meta device would load torch's compiler: seconds, and 70 MB."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return args[0] if func is torch.Tensor.normal_ else func(*args, **(kwargs or {}))

    with torch.device("meta"), WithoutDrawing():
        model = network.build()
    made = model.state_dict()
    for name in sorted(made.keys() ^ tensors.keys()):
        what = "has no place in" if name in tensors else "is missing for"
        raise BundleError(f"the tensor {name} {what} the architecture {network.architecture}")
    for name, spec in tensors.items():
        wanted = made[name]
        if tuple(wanted.shape) != spec.shape:
            raise BundleError(f"the tensor {name} has shape {spec.shape}, the architecture makes {tuple(wanted.shape)}")
        if wanted.is_floating_point() != (spec.dtype in FLOATING) or (spec.dtype not in FLOATING and wanted.dtype != _integer(spec)):
            raise BundleError(f"the tensor {name} is {spec.dtype}, the architecture makes {wanted.dtype}")
    return model


def _integer(spec: TensorSpec) -> object:
    import torch

    return {"I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool}[spec.dtype]


def _widened(tensor: "Tensor") -> "Tensor":
    return tensor.float() if tensor.is_floating_point() else tensor
