"""A bundle that was verified: whole, unchanged, consistent. No torch is needed to know that."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from inference.bundles import layout
from inference.bundles.architectures import NetworkDefinition, parse_network_def
from inference.bundles.errors import BundleError, BundleNotFoundError, BundleNotPinnedError
from inference.bundles.metadata import BundleMetadata
from inference.bundles.weights import FLOATING, TensorSpec, check_finite, count_parameters, is_statistic, read_specs
from inference.findings import ModelUsed

SHIPPED = Path(__file__).resolve().parent / "shipped"
_STORED = {"float32": "F32", "float16": "F16"}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle; :func:`load_bundle` makes it.

    Attributes
    ----------
    sha256
        Over all its files (:mod:`inference.bundles.layout`).
    weights_sha256
        Of the weights alone.
    tensors
        What the weights' file holds.
    """

    folder: Path
    sha256: str
    weights_sha256: str
    metadata: BundleMetadata
    network: NetworkDefinition
    tensors: Mapping[str, TensorSpec]

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.metadata.name

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.metadata.version

    @property
    def model_used(self) -> ModelUsed:
        """As every object says it that the bundle helped to make."""
        trained_on = self.metadata.osteon.trained_on.words
        return ModelUsed(name=self.name, version=self.version, sha256=self.sha256, trained_on=trained_on)

    @property
    def parameters(self) -> int:
        """How many numbers the floating-point tensors hold."""
        return count_parameters(self.tensors)

    @property
    def weights_path(self) -> Path:
        """The weights' file."""
        return self.folder / layout.WEIGHTS


def load_bundle(folder: Path, expected_sha256: str | None = None) -> Bundle:
    """Verify a bundle: its files, their hashes, its metadata, its weights' header and values. Nothing is unpickled, nothing imported.

    That the tensors are those of the architecture is checked where it is built, by :func:`inference.bundles.load_network`.

    Parameters
    ----------
    expected_sha256
        The hash that a site pinned; None where it pinned none.

    Raises
    ------
    BundleError
        Something is missing, changed, unexpected, or contradicts itself.
    BundleNotPinnedError
        The bundle is whole, but not the one that was pinned.
    """
    checked = layout.check_files(folder)
    if expected_sha256 is not None and checked.sha256 != expected_sha256.lower():
        raise BundleNotPinnedError(f"{folder}: the bundle's sha256 is {checked.sha256}, but {expected_sha256.lower()} is pinned")
    metadata = _read_metadata(folder)
    network = _read_network(folder)
    tensors = read_specs(folder / layout.WEIGHTS)
    _check_agreement(metadata, network, tensors)
    check_finite(folder / layout.WEIGHTS, tensors)
    return Bundle(
        folder=folder,
        sha256=checked.sha256,
        weights_sha256=checked.hashes[layout.WEIGHTS],
        metadata=metadata,
        network=network,
        tensors=tensors,
    )


def shipped_bundle(name: str) -> Bundle:
    """A bundle that comes with Osteon.

    Raises
    ------
    BundleNotFoundError
        None is called so.
    BundleError
        The installation is damaged.
    """
    known = shipped_names()
    if name not in known:
        raise BundleNotFoundError(f"no bundle {name!r} comes with Osteon; known: {', '.join(known) or 'none'}")
    return load_bundle(SHIPPED / name)


def shipped_names() -> tuple[str, ...]:
    """The bundles that come with Osteon."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{layout.MANIFEST}")))


def _read_metadata(folder: Path) -> BundleMetadata:
    where = f"{folder}: {layout.METADATA}"
    try:
        return BundleMetadata.model_validate(layout.read_json(folder / layout.METADATA, where))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise BundleError(f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}{more}") from None


def _read_network(folder: Path) -> NetworkDefinition:
    where = f"{folder}: {layout.INFERENCE}"
    content = layout.read_json(folder / layout.INFERENCE, where)
    if set(content) != {"network_def"}:
        raise BundleError(f"{where}: must hold network_def alone")
    return parse_network_def(content["network_def"])


def _check_agreement(metadata: BundleMetadata, network: NetworkDefinition, tensors: Mapping[str, TensorSpec]) -> None:
    osteon = metadata.osteon
    if network.architecture != osteon.architecture:
        raise BundleError(f"network_def is a {network.architecture}, the metadata say {osteon.architecture}")
    stated = (len(osteon.input.patch_size), osteon.input.channels, len(osteon.outputs))
    if network.channels != stated:
        raise BundleError(f"network_def has (axes, inputs, outputs) {network.channels}, the metadata say {stated}")
    stored = _STORED[osteon.weights_dtype]
    floating = {name: spec.dtype for name, spec in tensors.items() if spec.dtype in FLOATING}
    other = next((name for name, dtype in floating.items() if dtype != stored and not (dtype == "F32" and is_statistic(name))), None)
    if other is not None:
        raise BundleError(f"the tensor {other} is {tensors[other].dtype}, the metadata say {osteon.weights_dtype}")
