"""Checkpoints: all that a run needs to go on as if nothing had happened, in one file that is never half written.

The file is a zip archive as ``torch.save`` writes it. It is read with ``weights_only=True``, which builds tensors and plain values and
runs no code, after the checksums of its entries were compared.
"""

import hashlib
import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save
from torch import Tensor, nn

from training.errors import TrainingError
from training.loop.files import write_atomically

FORMAT = 1
FILE = "checkpoint.pt"
KEYS = frozenset({"format", "identity", "progress", "model", "optimiser", "average", "scaler", "random"})


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` (the keys of :data:`KEYS` but ``format``) in one durable step."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; all tensors on the CPU.

    Raises
    ------
    TrainingError
        The file is damaged, is no checkpoint or one of another version.
    """
    advice = f"put back a good copy of {path}, or train from the start without resuming"
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise TrainingError(f"the checkpoint is damaged (checksum of {damaged}): {advice}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f"the checkpoint cannot be read ({reason}): {advice}") from error
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        raise TrainingError(f"the file is no checkpoint of a training run: {advice}")
    if content["format"] != FORMAT:
        raise TrainingError(f"the checkpoint has format {content['format']}, this version writes {FORMAT}: {advice}")
    return content


def weights_path(folder: Path, epoch: int) -> Path:
    """Where the weights of the best epoch lie."""
    return folder / f"weights-epoch-{epoch:04d}.safetensors"


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the state of a network as safetensors, in one durable step."""
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(path, safetensors_save(state))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read what :func:`save_weights` wrote.

    Raises
    ------
    TrainingError
        The file is absent or damaged.
    """
    try:
        return safetensors_load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"the weights {path} cannot be read ({error}); train again without resuming") from error


def architecture(model: nn.Module) -> str:
    """A fingerprint of the names, shapes and types of a network's state."""
    lines = [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in model.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
