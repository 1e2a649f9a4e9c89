"""A bundle that is not exactly what it says is refused, with a sentence that names the file."""

import hashlib
import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save as safetensors_save

from inference.bundles import (
    Bundle,
    BundleError,
    BundleNotAllowedError,
    BundleNotFoundError,
    layout,
    load_bundle,
    load_network,
    shipped_bundle,
)
from inference.errors import ReasonCode
from inference.findings import ModelUsed
from tests.training.bundle_example import tiny_network, write_bundle

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def folder(made: Bundle, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made.folder, tmp_path / "tiny"))


def sealed(folder: Path) -> Path:
    """The folder with a manifest that fits what is in it now: what a forger would do."""
    hashes = {
        path.relative_to(folder).as_posix(): layout.file_sha256(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != layout.MANIFEST
    }
    (folder / layout.MANIFEST).write_text(layout.manifest_text(hashes))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert caught.value.code is ReasonCode.BUNDLE_INVALID
    return caught.value.text


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    return sealed(folder)


def test_a_whole_bundle_says_what_it_is(made: Bundle) -> None:
    bundle = load_bundle(made.folder, made.sha256.upper())
    assert bundle.model_used == ModelUsed(name="tiny", version="1.0.0", sha256=made.sha256, trained_on="simulated anatomy")
    assert bundle.network.channels == (3, 1, 3)
    assert bundle.parameters == sum(parameter.numel() for parameter in tiny_network().parameters())


def test_the_hash_is_what_sha256sum_gives(made: Bundle) -> None:
    names = sorted(
        path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file() and path.name != "manifest.json"
    )
    lines = [f"{hashlib.sha256((made.folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == made.sha256


@pytest.mark.parametrize("name", layout.REQUIRED)
@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_one_changed_byte_anywhere_is_refused(folder: Path, name: str, place: float) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x01
    path.write_bytes(content)
    assert name in refusal(folder)


@pytest.mark.parametrize("name", layout.REQUIRED)
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)


def test_a_manifest_that_forgets_a_file_is_refused(folder: Path) -> None:
    (folder / "docs" / "notes.md").write_text("more\n")
    assert "docs/notes.md is not in the manifest" in refusal(folder)
    assert "docs/notes.md" in load_bundle(sealed(folder)).folder.joinpath("docs/notes.md").as_posix()
    (folder / "docs" / "notes.md").unlink()
    assert "docs/notes.md is in the manifest, but is not there" in refusal(folder)


def test_an_extra_pickle_is_refused_by_name(folder: Path) -> None:
    (folder / "models" / "model.pt").write_bytes(pickle.dumps({"weights": 1}))
    assert "models/model.pt: a bundle holds no file that can run code" in refusal(sealed(folder))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_whatever_it_is_called(folder: Path, protocol: int) -> None:
    (folder / "docs" / "notes.md").write_bytes(pickle.dumps({"weights": [1.0] * 20}, protocol=protocol))
    assert "docs/notes.md: this is a pickle or an archive by its content" in refusal(sealed(folder))


def test_a_torch_file_under_another_name_is_refused(folder: Path) -> None:
    torch.save(tiny_network().state_dict(), folder / layout.WEIGHTS)
    assert f"{layout.WEIGHTS}: this is a pickle or an archive by its content" in refusal(sealed(folder))


def test_an_old_torch_file_is_refused(folder: Path) -> None:
    torch.save(tiny_network().state_dict(), folder / layout.WEIGHTS, _use_new_zipfile_serialization=False)
    assert f"{layout.WEIGHTS}: this is a pickle or an archive by its content" in refusal(sealed(folder))


@pytest.mark.parametrize(
    "name", ["docs/run.py", "configs/extra.json", "models/other.safetensors", "docs/../../up.md", "notes.md", ".hidden"]
)
def test_what_has_no_place_in_a_bundle_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match=r"does not belong|no file that can run code"):
        layout.check_name(name)


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("elsewhere\n")
    (folder / "docs" / "notes.md").symlink_to(secret)
    assert "docs/notes.md is a link" in refusal(folder)


def test_a_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "docs" / "more").symlink_to(tmp_path / "elsewhere")
    assert "docs/more is a link" in refusal(folder)


def test_a_picture_must_be_one(folder: Path) -> None:
    (folder / "docs" / "curve.png").write_bytes(b"GIF89a")
    assert "docs/curve.png: not a PNG picture" in refusal(sealed(folder))


def test_a_large_text_is_refused(folder: Path) -> None:
    (folder / "docs" / "notes.md").write_bytes(b" " * (layout.MAX_TEXT_BYTES + 1))
    assert "at most 1048576 are allowed" in refusal(sealed(folder))


def test_no_folder_is_refused(tmp_path: Path) -> None:
    assert "there is no such folder" in refusal(tmp_path / "none")


def test_another_hash_than_pinned_is_refused(made: Bundle) -> None:
    with pytest.raises(BundleNotAllowedError, match=f"sha256 is {made.sha256}, but {'0' * 64} is pinned") as caught:
        load_bundle(made.folder, "0" * 64)
    assert caught.value.code is ReasonCode.BUNDLE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[]", "must hold a JSON object"),
        ('{"a": 1, "a": 2}', "a key stands there twice"),
        ('{"a": NaN}', "NaN is no number"),
        ("{" * 10, "not valid JSON"),
        ('{"a": ' * 100_000, "not valid JSON"),
        ("{}", "required"),
    ],
)
def test_metadata_that_cannot_be_read_are_refused(folder: Path, content: str, expected: str) -> None:
    (folder / layout.METADATA).write_text(content)
    assert expected.lower() in refusal(sealed(folder)).lower()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda meta: meta["osteon"].pop("trained_on"), "osteon.trained_on: Field required"),
        (lambda meta: meta["osteon"].update(trained_on="the internet"), "osteon.trained_on"),
        (lambda meta: meta["osteon"].update(surprise=1), "osteon.surprise: Extra inputs"),
        (lambda meta: meta.update(version="2.0.0"), "version: MONAI's fields say 2.0.0, osteon says 1.0.0"),
        (lambda meta: meta["osteon"].update(limits=[]), "osteon.limits"),
        (lambda meta: meta["osteon"].update(name="../../etc"), "osteon.name"),
        (lambda meta: meta["network_data_format"]["outputs"]["pred"].update(num_channels=2), "num_channels is 2"),
        (lambda meta: meta["osteon"].update(architecture="segresnet"), "network_def is a unet, the metadata say segresnet"),
        (lambda meta: meta["osteon"].update(weights_dtype="float16"), "is F32, the metadata say float16"),
        (lambda meta: meta.pop("monai_version"), "monai_version: Field required"),
    ],
)
def test_metadata_that_contradict_are_refused(folder: Path, change: Callable[[dict[str, Any]], None], expected: str) -> None:
    assert expected in refusal(edit(folder, layout.METADATA, change))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"_target_": "os.system"}, "_target_ 'os.system' is not allowed"),
        ({"_target_": "monai.networks.nets.UNet.__init__"}, "is not allowed"),
        ({"_target_": ["os"]}, "must be an object with a _target_"),
        ({"act": "$__import__('os').system('id')"}, "act has a value that a bundle may not give"),
        ({"act": {"_target_": "os.system"}}, "act has a value that a bundle may not give"),
        ({"act": [[[["deep"]]]]}, "act has a value that a bundle may not give"),
        ({"num_res_units": 10**12}, "num_res_units has a value that a bundle may not give"),
        ({"pretrained": True}, "takes no argument 'pretrained'"),
        ({"out_channels": 4}, "network_def has (axes, inputs, outputs) (3, 1, 4), the metadata say (3, 1, 3)"),
        ({"in_channels": "1"}, "needs the number 'in_channels'"),
    ],
)
def test_a_network_that_is_not_on_the_list_is_refused(folder: Path, change: dict[str, Any], expected: str) -> None:
    assert expected in refusal(edit(folder, layout.INFERENCE, lambda content: content["network_def"].update(change)))


def test_inference_json_holds_nothing_else(folder: Path) -> None:
    assert "must hold network_def alone" in refusal(edit(folder, layout.INFERENCE, lambda content: content.update(imports=["$import os"])))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[:4], "cut off within its header"),
        (lambda data: data[:40], "cut off within its header"),
        (lambda data: data[:-1], "cut off or added to"),
        (lambda data: data + b"\0", "cut off or added to"),
        (lambda data: struct.pack("<Q", 1 << 40) + data[8:], "cut off within its header"),
        (lambda data: data[:8] + b"x" + data[9:], "the header is not JSON"),
        (lambda _: struct.pack("<Q", 2) + b"[]", "the header is no JSON object"),
    ],
)
def test_weights_that_are_cut_or_forged_are_refused(folder: Path, change: Callable[[bytes], bytes], expected: str) -> None:
    path = folder / layout.WEIGHTS
    path.write_bytes(change(path.read_bytes()))
    assert expected in refusal(sealed(folder))


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "shape [2] does not fill its bytes"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "not lists of whole numbers"),
        ({"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 4]}, "type 'OBJECT'"),
        ({"dtype": "F32", "shape": [1]}, "must give dtype, shape and data_offsets"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "overlaps another or leaves a gap"),
        ({"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}, "not lists of whole numbers"),
    ],
)
def test_a_forged_header_is_refused(folder: Path, tensor: dict[str, Any], expected: str) -> None:
    header = json.dumps({"a": tensor}).encode()
    (folder / layout.WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    assert expected in refusal(sealed(folder))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(folder: Path, value: float) -> None:
    state = {name: tensor.clone() for name, tensor in tiny_network().state_dict().items()}
    name = next(iter(state))
    state[name].view(-1)[0] = value
    (folder / layout.WEIGHTS).write_bytes(safetensors_save(state))
    assert f"the tensor {name} holds NaN or infinity" in refusal(sealed(folder))


def spoiled_network(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> str:
    state = {name: tensor.clone() for name, tensor in tiny_network().state_dict().items()}
    change(state)
    (folder / layout.WEIGHTS).write_bytes(safetensors_save(state))
    bundle = load_bundle(sealed(folder))
    with pytest.raises(BundleError) as caught:
        load_network(bundle)
    return caught.value.text


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    first = next(iter(tiny_network().state_dict()))
    assert f"the tensor {first} is missing for the architecture unet" in spoiled_network(folder, lambda state: state.__delitem__(first))


def test_a_tensor_too_many_is_refused(folder: Path) -> None:
    text = spoiled_network(folder, lambda state: state.update(extra=torch.zeros(3)))
    assert text == "the tensor extra has no place in the architecture unet"


def test_a_tensor_of_another_shape_is_refused(folder: Path) -> None:
    first = next(iter(tiny_network().state_dict()))
    text = spoiled_network(folder, lambda state: state.update({first: state[first][..., :-1].contiguous()}))
    assert f"the tensor {first} has shape" in text


def test_a_tensor_of_another_type_is_refused(folder: Path) -> None:
    first = next(iter(tiny_network().state_dict()))
    text = spoiled_network(folder, lambda state: state.update({first: state[first].long()}))
    assert text == f"the tensor {first} is I64, the architecture makes torch.float32"


def test_arguments_that_the_constructor_refuses_are_said(folder: Path) -> None:
    bundle = load_bundle(edit(folder, layout.INFERENCE, lambda content: content["network_def"].update(strides=[2])))
    with pytest.raises(BundleError, match=r"monai.networks.nets.UNet cannot be made from these arguments"):
        load_network(bundle)


def test_weights_that_change_after_verification_are_refused(folder: Path) -> None:
    (folder / "docs" / "notes.md").write_text("another bundle than the cached one\n")
    bundle = load_bundle(sealed(folder))
    content = bytearray(bundle.weights_path.read_bytes())
    content[-1] ^= 1
    bundle.weights_path.write_bytes(content)
    with pytest.raises(BundleError, match="the weights have changed since the bundle was verified"):
        load_network(bundle)


def test_a_network_is_loaded_once_and_ready(made: Bundle) -> None:
    network = load_network(made)
    assert load_network(load_bundle(made.folder)) is network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_loading_leaves_torchs_random_numbers_alone(folder: Path) -> None:
    (folder / "docs" / "notes.md").write_text("not in the cache\n")
    before = torch.get_rng_state()
    load_network(load_bundle(sealed(folder)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_name_that_does_not_ship_is_said() -> None:
    with pytest.raises(BundleNotFoundError, match="no bundle 'nothing' comes with Osteon") as caught:
        shipped_bundle("nothing")
    assert caught.value.code is ReasonCode.NO_TRAINED_MODEL
