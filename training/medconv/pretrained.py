"""Weights that the user has: networks for photographs inflated to 3D, and MedicalNet's 3D ResNets.

Inflation is that of I3D (Carreira and Zisserman 2017): a kernel is repeated along the depth and divided by it, so that an image that is
the same in every slice gives the same features. The first kernel is summed over red, green and blue, which is what a grey picture shown in
three colours would meet. The last layer stays fresh: its classes were others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError
from training.medconv.pretrained_names import our_name

_HEADS = ("fc.", "_fc.", "classifier.", "head.", "value_head.", "conv_seg.")
"""Last layers, ours and MedicalNet's."""
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_NO_SHORTCUTS = ("resnet18", "resnet34")
"""MedicalNet trained these with shortcuts without weights (type A)."""

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What became of a file of weights.

    Attributes
    ----------
    inflated
        The weights were of a 2D network.
    taken
        Number of tensors that the network has taken over.
    fresh
        Tensors that it has not: the last layer, and a ResNet-18's or -34's shortcuts where the file has none.
    """

    inflated: bool
    taken: int
    fresh: tuple[str, ...]


def load_pretrained(network: nn.Module, name: str, path: Path) -> Pretrained:
    """Give a fresh network the weights of a file.

    Parameters
    ----------
    network
        As :func:`training.medconv.networks.build` makes it under ``name``, at full width.
    path
        A state dict of torchvision, timm or MedicalNet: safetensors, or torch's own format, which is read with weights alone.

    Raises
    ------
    TrainingError
        The file is no state dict, or a tensor is missing, unknown or of another shape: it is named.
    """
    theirs = {our_name(name, key): tensor for key, tensor in read_state(path).items()}
    ours = network.state_dict()
    unknown = sorted(key for key in theirs if key not in ours and not key.startswith(_HEADS))
    if unknown:
        raise TrainingError(f"{path}: {name} has no tensor {unknown[0]} ({len(unknown)} tensors without a place)")
    inflated = any(theirs[key].dim() == 4 for key in theirs if key in ours and ours[key].dim() == 5)
    fresh = tuple(key for key in ours if key.startswith(_HEADS) or (key not in theirs and _may_be_missing(key, name, theirs)))
    taken: State = {}
    for key in (key for key in ours if key not in fresh):
        if key not in theirs:
            raise TrainingError(f"{path}: the tensor {key} of {name} is missing")
        taken[key] = _fitted(theirs[key], ours[key], f"{path}: the tensor {key} of {name}", grid_token=key == "pos_embed")
    network.load_state_dict({**ours, **taken})
    return Pretrained(inflated=inflated, taken=len(taken), fresh=fresh)


def read_state(path: Path) -> State:
    """The tensors of a file by name, without the wrapping of trainers and the ``module.`` of DataParallel.

    Raises
    ------
    TrainingError
        The file cannot be read, or holds something else.
    """
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise TrainingError(f"{path}: no weights can be read from it: {str(error).splitlines()[0]}") from None
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not found or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise TrainingError(f"{path}: this is no state dict, a mapping of names to tensors")
    return {str(key).removeprefix("module."): tensor for key, tensor in found.items()}


def inflate(kernel: Tensor, depth: int) -> Tensor:
    """(O, I, Y, X) to (O, I, depth, Y, X), whose sum along the depth is the kernel."""
    return kernel.unsqueeze(2).repeat(1, 1, depth, 1, 1) / depth


def merge_channels(kernel: Tensor, channels: int) -> Tensor:
    """(O, I, ...) to (O, channels, ...), the sum over the input channels shared out evenly."""
    return kernel.sum(dim=1, keepdim=True).repeat(1, channels, *(1 for _ in kernel.shape[2:])) / channels


def spread_positions(embedding: Tensor, count: int) -> Tensor:
    """Position embeddings (1, 1 + side², hidden) of a square of patches for a cube of ``count - 1``: resized, the same at each height.

    Raises
    ------
    ValueError
        The patches form no square, or not a cube.
    """
    side, wanted = round((embedding.shape[1] - 1) ** 0.5), round((count - 1) ** (1 / 3))
    if side**2 != embedding.shape[1] - 1 or wanted**3 != count - 1:
        raise ValueError("positions of a square of patches can be spread over a cube, and over nothing else")
    square = embedding[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, hidden, side, side)
    resized = functional.interpolate(square, size=(wanted, wanted), mode="bicubic", align_corners=False)
    cube = resized.unsqueeze(2).repeat(1, 1, wanted, 1, 1)  # (1, hidden, Z, Y, X)
    return torch.cat([embedding[:, :1], cube.flatten(2).transpose(1, 2)], dim=1)


def _fitted(theirs: Tensor, ours: Tensor, what: str, *, grid_token: bool) -> Tensor:
    """Their tensor in the shape of ours.

    Raises
    ------
    TrainingError
        It cannot be brought there.
    """
    found = theirs
    if ours.dim() == 5 and found.dim() == 4:
        found = inflate(found.float(), ours.shape[2])
    if ours.dim() == 5 and found.dim() == 5 and found.shape[1] != ours.shape[1] and found.shape[1] in (1, 3):
        found = merge_channels(found.float(), ours.shape[1])
    if grid_token and found.shape != ours.shape and found.dim() == 3:
        try:
            found = spread_positions(found.float(), ours.shape[1])
        except ValueError as error:
            raise TrainingError(f"{what}: {error}") from None
    if found.shape != ours.shape:
        raise TrainingError(f"{what} has shape {tuple(theirs.shape)}, which does not fit {tuple(ours.shape)}")
    return found.to(ours.dtype)


def _may_be_missing(key: str, name: str, theirs: Mapping[str, Tensor]) -> bool:
    """Counters of old files, and the shortcuts of MedicalNet's small networks."""
    shortcut = name in _NO_SHORTCUTS and ".downsample." in key and not any(".downsample." in other for other in theirs)
    return key.endswith("num_batches_tracked") or shortcut
