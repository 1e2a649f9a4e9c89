from pathlib import Path

import pytest
import torch
from monai.networks.nets import resnet18 as monai_resnet18
from monai.networks.nets import resnet50 as monai_resnet50
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError
from training.medconv.networks import build
from training.medconv.pretrained import Pretrained, inflate, load_pretrained, merge_channels, read_state, spread_positions
from training.medconv.pretrained_names import our_name

SMALL = 0.125


def _flat(network: nn.Module, colours: int = 3) -> dict[str, Tensor]:
    """The 2D RGB state dict whose inflation this network would be: kernels summed along the depth, the first one over three colours."""
    found, first = {}, True
    for name, tensor in network.state_dict().items():
        flat = tensor.sum(dim=2) if tensor.dim() == 5 else tensor.clone()
        if tensor.dim() == 5 and first:
            flat, first = flat.repeat(1, colours, 1, 1) / colours, False
        found[name] = flat.contiguous()
    return found


def _depth_constant(network: nn.Module) -> nn.Module:
    """The same network with each kernel the same at every depth, which is what inflation makes; all tensors unlike their first values."""
    torch.manual_seed(3)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.1)
        if tensor.dim() == 5:
            tensor.copy_(tensor.mean(dim=2, keepdim=True).expand_as(tensor))
    return network


def _same(one: nn.Module, other: nn.Module, but: tuple[str, ...]) -> None:
    for name, tensor in one.state_dict().items():
        if name not in but:
            torch.testing.assert_close(other.state_dict()[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", ["resnet10t", "resnet18", "resnet50", "resnext50", "mobilenetv2", "efficientnet_b0"])
def test_a_flat_network_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    made = _depth_constant(build(name, width=SMALL))
    save_file(_flat(made), tmp_path / "flat.safetensors")
    fresh = build(name, width=SMALL)
    found = load_pretrained(fresh, name, tmp_path / "flat.safetensors")
    assert found.inflated
    assert len(found.fresh) == 2  # weight and bias of the last layer
    assert found.taken + 2 == len(fresh.state_dict())
    _same(made, fresh, found.fresh)
    assert not torch.equal(made.state_dict()[found.fresh[0]], fresh.state_dict()[found.fresh[0]])


@pytest.mark.parametrize("name", ["vit", "jointvit"])
def test_a_flat_vit_comes_back_with_its_positions_spread(name: str, tmp_path: Path) -> None:
    made = _depth_constant(build(name, width=1 / 12))
    flat = _flat(made)
    flat["pos_embed"] = torch.randn(1, 197, 64)
    torch.save({key: tensor for key, tensor in flat.items() if not key.startswith("value")}, tmp_path / "flat.pth")
    fresh = build(name, width=1 / 12)
    found = load_pretrained(fresh, name, tmp_path / "flat.pth")
    _same(made, fresh, (*found.fresh, "pos_embed"))
    torch.testing.assert_close(fresh.state_dict()["pos_embed"], spread_positions(flat["pos_embed"], 65))


def test_positions_are_the_same_at_each_height_and_keep_their_order() -> None:
    square = torch.arange(16.0).reshape(1, 16, 1)
    spread = spread_positions(torch.cat([torch.full((1, 1, 1), -7.0), square], dim=1), 65)
    assert spread[0, 0, 0] == -7.0
    torch.testing.assert_close(
        spread[0, 1:, 0].reshape(4, 16), torch.arange(16.0).expand(4, 16)
    )  # as many patches a side: nothing to resize
    with pytest.raises(ValueError, match="square"):
        spread_positions(torch.zeros(1, 8, 1), 65)


def test_an_inflated_kernel_gives_what_the_flat_one_gave() -> None:
    """On a picture that is the same in every slice, away from the ends, and shown in three colours (computed by torch's conv2d)."""
    torch.manual_seed(0)
    kernel, picture = torch.randn(4, 3, 5, 5), torch.randn(1, 1, 12, 12)
    flat = functional.conv2d(picture.repeat(1, 3, 1, 1), kernel)
    volume = picture.unsqueeze(2).repeat(1, 1, 9, 1, 1)
    deep = functional.conv3d(volume, merge_channels(inflate(kernel, 5), 1))
    torch.testing.assert_close(deep, flat.unsqueeze(2).expand_as(deep), rtol=1e-4, atol=1e-4)
    windows = functional.conv3d(volume.repeat(1, 2, 1, 1, 1), merge_channels(inflate(kernel, 5), 2))
    torch.testing.assert_close(windows, deep, rtol=1e-4, atol=1e-4)


def test_hand_computed_inflation() -> None:
    assert inflate(torch.full((1, 1, 1, 1), 6.0), 3).flatten().tolist() == [2.0, 2.0, 2.0]
    assert merge_channels(torch.tensor([1.0, 2.0, 6.0]).reshape(1, 3, 1, 1), 1).flatten().tolist() == [9.0]
    assert merge_channels(torch.tensor([1.0, 2.0, 6.0]).reshape(1, 3, 1, 1), 2).flatten().tolist() == [4.5, 4.5]


def test_a_flat_resnet_of_monai_finds_every_place(tmp_path: Path) -> None:
    """Its names are torchvision's (conv1, layer1.0.bn2, downsample.0, fc); it is made at full size."""
    with torch.device("meta"):
        theirs = monai_resnet50(spatial_dims=2, n_input_channels=3, num_classes=1000, bias_downsample=False).state_dict()
    state = {name: torch.full(tensor.shape, 0.5, dtype=tensor.dtype) for name, tensor in theirs.items()}
    torch.save(state, tmp_path / "resnet50.pth")
    network = build("resnet50")
    found = load_pretrained(network, "resnet50", tmp_path / "resnet50.pth")
    assert found == Pretrained(inflated=True, taken=len(state) - 2, fresh=("fc.weight", "fc.bias"))
    torch.testing.assert_close(network.state_dict()["conv1.weight"], torch.full((64, 1, 7, 7, 7), 3 * 0.5 / 7))


def test_medicalnet_is_taken_as_it_is(tmp_path: Path) -> None:
    made = monai_resnet18(n_input_channels=1, num_classes=2, widen_factor=SMALL, bias_downsample=False)
    state = {f"module.{name}": tensor for name, tensor in made.state_dict().items() if not name.startswith("fc")}
    kept = {name: tensor for name, tensor in state.items() if ".downsample." not in name and "num_batches" not in name}
    kept["module.conv_seg.0.weight"] = torch.zeros(3)
    torch.save({"state_dict": kept}, tmp_path / "resnet_18.pth")
    network = build("resnet18", width=SMALL)
    found = load_pretrained(network, "resnet18", tmp_path / "resnet_18.pth")
    assert not found.inflated
    assert all(".downsample." in name or name.startswith("fc.") or name.endswith("num_batches_tracked") for name in found.fresh)
    torch.testing.assert_close(network.state_dict()["layer3.1.conv2.weight"], made.state_dict()["layer3.1.conv2.weight"])
    several = build("resnet18", width=SMALL, channels=2)
    load_pretrained(several, "resnet18", tmp_path / "resnet_18.pth")
    torch.testing.assert_close(several.state_dict()["conv1.weight"].sum(dim=1), made.state_dict()["conv1.weight"][:, 0])


TIMM_MOBILENET = {
    "conv_stem.weight": "features.0.0.weight",
    "bn1.running_mean": "features.0.1.running_mean",
    "blocks.0.0.conv_dw.weight": "features.1.conv.0.0.weight",
    "blocks.0.0.bn2.bias": "features.1.conv.2.bias",
    "blocks.1.0.conv_pw.weight": "features.2.conv.0.0.weight",
    "blocks.6.0.conv_pwl.weight": "features.17.conv.2.weight",
    "blocks.6.0.bn3.weight": "features.17.conv.3.weight",
    "conv_head.weight": "features.18.0.weight",
    "classifier.bias": "classifier.1.bias",
}
EFFICIENTNET = {
    "conv_stem.weight": "_conv_stem.weight",
    "blocks.0.0.conv_pw.weight": "_blocks.0.0._project_conv.weight",
    "blocks.1.1.conv_pw.weight": "_blocks.1.2._expand_conv.weight",
    "blocks.5.3.se.conv_expand.bias": "_blocks.5.14._se_expand.bias",
    "blocks.6.0.bn3.weight": "_blocks.6.15._bn2.weight",
    "bn2.weight": "_bn1.weight",
    "features.0.1.weight": "_bn0.weight",
    "features.1.0.block.0.0.weight": "_blocks.0.0._depthwise_conv.weight",
    "features.1.0.block.2.1.bias": "_blocks.0.0._bn2.bias",
    "features.3.1.block.2.fc1.weight": "_blocks.2.4._se_reduce.weight",
    "features.7.0.block.3.0.weight": "_blocks.6.15._project_conv.weight",
    "features.8.0.weight": "_conv_head.weight",
    "classifier.1.weight": "_fc.weight",
}
VIT = {
    "class_token": "cls_token",
    "encoder.pos_embedding": "pos_embed",
    "conv_proj.bias": "patch_embed.proj.bias",
    "encoder.layers.encoder_layer_3.self_attention.in_proj_weight": "blocks.3.attn.qkv.weight",
    "encoder.layers.encoder_layer_11.mlp.linear_2.bias": "blocks.11.mlp.fc2.bias",
    "encoder.layers.encoder_layer_0.mlp.0.weight": "blocks.0.mlp.fc1.weight",
    "encoder.layers.encoder_layer_0.ln_2.weight": "blocks.0.norm2.weight",
    "encoder.ln.weight": "norm.weight",
    "heads.head.weight": "head.weight",
}
NAMES = [
    (network, *pair)
    for network, pairs in (("mobilenetv2", TIMM_MOBILENET), ("efficientnet_b0", EFFICIENTNET), ("vit", VIT))
    for pair in pairs.items()
]


@pytest.mark.parametrize(("network", "theirs", "ours"), NAMES)
def test_names_of_torchvision_and_timm_lead_to_a_tensor_of_ours(network: str, theirs: str, ours: str) -> None:
    assert our_name(network, theirs) == ours
    assert our_name(network, ours) == ours
    with torch.device("meta"):
        assert ours in build(network).state_dict()


def _broken(state: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    if how == "missing":
        del state["layer2.0.conv1.weight"]
    elif how == "shape":
        state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"][:2]
    else:
        state["layer9.0.conv1.weight"] = torch.zeros(1)
    return state


@pytest.mark.parametrize(
    ("how", "said"), [("missing", "layer2.0.conv1.weight .* missing"), ("shape", "layer2.0.conv1.weight .* shape"), ("extra", "layer9")]
)
def test_a_tensor_that_does_not_fit_is_named(how: str, said: str, tmp_path: Path) -> None:
    save_file(_broken(_flat(build("resnet18", width=SMALL)), how), tmp_path / "broken.safetensors")
    with pytest.raises(TrainingError, match=said):
        load_pretrained(build("resnet18", width=SMALL), "resnet18", tmp_path / "broken.safetensors")


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    (tmp_path / "b.pth").write_bytes(b"nothing")
    torch.save([1, 2], tmp_path / "c.pth")
    torch.save(build("resnet18", width=SMALL), tmp_path / "d.pth")  # a pickled object could run code
    for name in ("a.safetensors", "b.pth", "c.pth", "d.pth", "absent.pth"):
        with pytest.raises(TrainingError, match=name):
            read_state(tmp_path / name)
