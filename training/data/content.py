"""What an image holds, whatever its name and UIDs: the same pixels under two patient IDs are one patient."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from inference.errors import Refusal
from inference.pixels import read_with_pixels, stored_pixels
from inference.reading import find_files
from training.data.rows import Manifest
from training.errors import TrainingError

Content = Mapping[Path, frozenset[str]]
"""Hashes of what each path holds: one an image, or one an instance for a folder of DICOM files."""

_NIFTI = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def content_of(manifest: Manifest, *, progress: bool = True) -> Content:
    """Hash the images of every used row.

    Raises
    ------
    TrainingError
        An image cannot be read: the path and the reason.
    """
    paths: Iterable[Path] = dict.fromkeys(row.path for row in manifest.used if row.path is not None)
    shown = track(list(paths), description="comparing images", console=Console(stderr=True), disable=not progress)
    return {path: image_hashes(path) for path in shown}


def image_hashes(path: Path) -> frozenset[str]:
    """SHA-256 of the decoded stored pixels of each image in a file or folder, with their shape. Blank images (one value) have none.

    Copies with other UIDs, names or transfer syntaxes have equal hashes; parts of a series share those of their instances. A NIfTI is
    one image, so it does not match the DICOM series that it was made from.

    Raises
    ------
    TrainingError
        There is no such file, or no image in it.
    """
    name = path.name.lower()
    try:
        if name.endswith(_NIFTI):
            return _hashes([_volume(path)])
        if name.endswith(_PICTURES):
            return _hashes([_picture(path)])
        if not path.exists():
            raise TrainingError(f"{path}: there is no such image")
        return _hashes(_dicom(path))
    except (OSError, RuntimeError, ValueError) as error:  # what SimpleITK and Pillow raise on damage
        raise TrainingError(f"{path}: not a readable image: {str(error).splitlines()[-1].strip()}") from None


def _hashes(images: Iterable[NDArray[Any]]) -> frozenset[str]:
    found = set()
    for image in images:
        if image.size and image.min() != image.max():
            head = f"{image.shape}{image.dtype.kind}{image.dtype.itemsize}".encode()
            found.add(hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).hexdigest())
    return frozenset(found)


def _dicom(path: Path) -> Iterator[NDArray[Any]]:
    """The images of a file or folder, one at a time; files that hold none are passed over in a folder."""
    found = False
    for file in find_files([path]):
        try:
            yield stored_pixels(read_with_pixels(file), file.name)
            found = True
        except Refusal as refusal:
            if path.is_file():
                raise TrainingError(f"{path}: {refusal.text}") from None
    if not found:
        raise TrainingError(f"{path}: there is no readable DICOM image in it")


def _volume(path: Path) -> NDArray[Any]:
    import SimpleITK

    pixels: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return pixels


def _picture(path: Path) -> NDArray[Any]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
