"""From a trained network to a bundle on disk: written whole or not at all, and verified as a node will verify it before it counts."""

import copy
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save as safetensors_save
from torch import Tensor, nn

from inference.bundles import (
    Bundle,
    BundleError,
    BundleMetadata,
    Kind,
    NetworkDefinition,
    Normalisation,
    OsteonMetadata,
    layout,
    load_bundle,
)
from inference.bundles.metadata import DataFormat, InputFormats, NetworkDataFormat, OutputFormats
from inference.bundles.network import read_network
from inference.bundles.weights import is_statistic
from training.errors import TrainingError
from training.loop.files import write_atomically
from training.model_card import licence_text, model_card

FLOAT16_TOLERANCE = 1e-2
"""How far an output may move when weights are stored in half precision, in units of the largest output."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What MONAI's metadata want beyond :class:`OsteonMetadata`.

    Attributes
    ----------
    changelog
        What is new, by version; the exported version must be among them.
    licence
        Text of ``LICENSE``; the notice of Apache-2.0 when absent.
    pictures
        Further files of ``docs/`` (``curve.png``, ``log.csv``) and where they lie.
    """

    task: str
    description: str
    changelog: Mapping[str, str]
    authors: str = "The Osteon authors"
    licence: str | None = None
    pictures: Mapping[str, Path] | None = None


def export_bundle(
    model: nn.Module,
    osteon: OsteonMetadata,
    network: NetworkDefinition,
    publication: Publication,
    folder: Path,
    *,
    example: Tensor | None = None,
) -> Bundle:
    """Write a bundle and verify it.

    Parameters
    ----------
    model
        The trained network; its state is copied to the CPU.
    osteon
        What it is; ``weights_dtype`` decides how the weights are stored.
    network
        How a fresh one is made.
    folder
        The bundle; must not exist.
    example
        (N, C, ...) input by which stored and given network are compared; noise in the shape of a training patch when absent.

    Raises
    ------
    TrainingError
        The folder is there already; the network's outputs change by being stored; the metadata contradict the network.
    """
    if folder.exists():
        raise TrainingError(f"{folder} exists; bundles are never overwritten: delete it, or give the model a new version")
    state = _stored_state(model, osteon)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(partial, bundle_metadata(osteon, publication), network, state, publication)
        bundle = load_bundle(partial)
        _compare(model, read_network(bundle), osteon, example)
        partial.rename(folder)
    except BundleError as error:
        raise TrainingError(f"the bundle would be refused: {error.text}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_bundle(folder, bundle.sha256)


def bundle_metadata(osteon: OsteonMetadata, publication: Publication) -> BundleMetadata:
    """MONAI's metadata; whatever repeats ``osteon`` is taken from there.

    Raises
    ------
    TrainingError
        They contradict each other.
    """
    try:
        return BundleMetadata(
            name=osteon.name,
            version=osteon.version,
            changelog=dict(publication.changelog),
            monai_version=version("monai"),
            pytorch_version=version("torch").partition("+")[0],
            numpy_version=version("numpy"),
            required_packages_version={"safetensors": version("safetensors")},
            task=publication.task,
            description=publication.description,
            authors=publication.authors,
            copyright=f"Copyright {publication.authors}",
            intended_use=osteon.intended_use,
            network_data_format=_data_format(osteon),
            osteon=OsteonMetadata.model_validate(osteon.model_dump()),
        )
    except ValueError as error:
        raise TrainingError(f"the metadata cannot be used: {error}") from error


_OUTPUTS: Mapping[Kind, tuple[Literal["image", "probabilities", "tuples"], str]] = {
    Kind.SEGMENTATION: ("image", "labels"),
    Kind.CLASSIFICATION: ("probabilities", "classes"),
    Kind.REGRESSION: ("tuples", "raw"),
}
"""Type and format of the output in the words of MONAI's bundle specification."""
_RANGES = {
    Normalisation.WINDOW_TO_MINUS_ONE_ONE: (-1.0, 1.0),
    Normalisation.WINDOW_TO_ZERO_ONE: (0.0, 1.0),
    Normalisation.MIN_MAX: (0.0, 1.0),
    Normalisation.ZERO_MEAN_UNIT_SD: (-10.0, 10.0),
    Normalisation.ZERO_ONE: (0.0, 1.0),
}


def _data_format(osteon: OsteonMetadata) -> NetworkDataFormat:
    axes = len(osteon.input.patch_size)
    segmentation = osteon.kind is Kind.SEGMENTATION
    kind, output_format = _OUTPUTS[osteon.kind]
    shape: tuple[int | str, ...] = (f"{osteon.input.multiple_of}*n",) * axes if segmentation else osteon.input.patch_size
    return NetworkDataFormat(
        inputs=InputFormats(
            image=DataFormat(
                type="image",
                format="hounsfield" if osteon.input.window_hu else "magnitude",
                modality=osteon.input.modality,
                num_channels=osteon.input.channels,
                spatial_shape=shape,
                value_range=_RANGES[osteon.input.normalisation],
                is_patch_data=segmentation,
                channel_def={str(number): "image" for number in range(osteon.input.channels)},
            )
        ),
        outputs=OutputFormats(
            pred=DataFormat(
                type=kind,
                format=output_format,
                num_channels=len(osteon.outputs),
                spatial_shape=shape if segmentation else (),
                value_range=(),
                is_patch_data=segmentation,
                channel_def={str(number): name for number, name in enumerate(osteon.outputs)},
            )
        ),
    )


def _stored_state(model: nn.Module, osteon: OsteonMetadata) -> dict[str, Tensor]:
    half = osteon.weights_dtype == "float16"
    state = {}
    for name, tensor in model.state_dict().items():
        kept = tensor.detach().cpu()
        if kept.is_floating_point():
            kept = kept.to(torch.float16 if half and not is_statistic(name) else torch.float32)
        state[name] = kept.clone().contiguous()
    return state


def _write(
    folder: Path, metadata: BundleMetadata, network: NetworkDefinition, state: Mapping[str, Tensor], publication: Publication
) -> None:
    texts = {
        layout.METADATA: _json(metadata.model_dump(mode="json", by_alias=True, exclude_none=True)),
        layout.INFERENCE: _json({"network_def": network.plain()}),
        layout.LICENCE: publication.licence or licence_text(metadata),
    }
    content = {name: text.encode() for name, text in texts.items()} | {layout.WEIGHTS: safetensors_save(dict(state))}
    for name, path in (publication.pictures or {}).items():
        content[f"docs/{name}"] = path.read_bytes()
    parameters = sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())
    content[layout.CARD] = model_card(metadata, network, parameters, layout.hashes_of(content)).encode()
    content[layout.MANIFEST] = layout.manifest_text(layout.hashes_of(content)).encode()
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _compare(model: nn.Module, stored: nn.Module, osteon: OsteonMetadata, example: Tensor | None) -> None:
    """Refuse a bundle whose network says something else than the one that was trained."""
    if example is None:
        shape = (1, osteon.input.channels, *osteon.input.patch_size)
        example = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    given = copy.deepcopy(model).cpu().float().eval()
    with torch.inference_mode():
        expected, found = given(example), stored(example)
    largest = float((expected - found).abs().max()) / max(1.0, float(expected.abs().max()))
    allowed = FLOAT16_TOLERANCE if osteon.weights_dtype == "float16" else 0.0
    if not largest <= allowed:
        raise TrainingError(
            f"stored as {osteon.weights_dtype}, the network's output moves by {largest:.2g} of its range, more than {allowed:g}"
        )
