import pytest
import torch
from monai.networks.nets import resnet50
from monai.networks.nets.efficientnet import EfficientNetBN
from torch import nn

from training.errors import TrainingError
from training.medconv.networks import NETWORKS, JointViT, build, resnet_arguments
from training.medconv.networks.mobilenet import divisible_by_8
from training.medconv.networks.transformer import VisionTransformer, patch_shape

PUBLISHED_2D = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "mobilenetv2": 3_504_872,
    "efficientnet_b0": 5_288_548,
    "resnext50": 25_028_904,
    "vit": 86_567_656 - (197 - 65) * 768,  # 224 pixels make 196 patches, 64 voxels 64
}
"""Parameters of torchvision's networks (1000 classes, RGB)."""


def _flattened_count(model: nn.Module) -> int:
    """Parameters, were each kernel one voxel deep."""
    deep = sum(m.weight.numel() - m.weight.numel() // m.kernel_size[0] for m in model.modules() if isinstance(m, nn.Conv3d))
    return sum(parameter.numel() for parameter in model.parameters()) - deep


def _meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return build(name, **options)


@pytest.mark.parametrize("name", PUBLISHED_2D)
def test_the_networks_are_the_published_ones_with_kernels_made_deep(name: str) -> None:
    assert _flattened_count(_meta(name, classes=1000, channels=3)) == PUBLISHED_2D[name]


@pytest.mark.parametrize(("name", "millions"), [("resnet10t", 5.44), ("resnet14t", 10.08)])
def test_the_tiered_networks_are_as_large_as_timm_prints(name: str, millions: float) -> None:
    assert round(_flattened_count(_meta(name, classes=1000, channels=3)) / 1e6, 2) == millions


def test_the_resnet_of_the_paper_is_monais() -> None:
    ours = _meta("resnet50").state_dict()
    with torch.device("meta"):
        theirs = resnet50(spatial_dims=3, n_input_channels=1, num_classes=3, conv1_t_stride=2, bias_downsample=False).state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {name: tensor.shape for name, tensor in theirs.items()}
    assert sum(parameter.numel() for parameter in _meta("resnet50").parameters()) == 46_161_219


def test_arguments_of_a_bundle_make_the_same_network() -> None:
    made, again = build("resnet50", width=0.125, channels=2), resnet50(**resnet_arguments(channels=2, width=0.125))
    again.load_state_dict(made.state_dict())
    image = torch.randn(2, 2, 32, 32, 32)
    torch.testing.assert_close(made.eval()(image), again.eval()(image))


def test_the_efficientnet_is_monais_b0() -> None:
    with torch.device("meta"):
        theirs = EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=3, in_channels=1, num_classes=3)
    assert {n: t.shape for n, t in _meta("efficientnet_b0").state_dict().items()} == {n: t.shape for n, t in theirs.state_dict().items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_narrow_network_gives_finite_logits_and_every_weight_learns(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, width=0.125, size=(32, 32, 32), channels=2)
    image = torch.randn(3, 2, 32, 32, 32)
    found = network.train()(image)
    loss = found[0].square().sum() + found[1].square().sum() if isinstance(found, tuple) else found.square().sum()
    loss.backward()
    assert not [n for n, parameter in network.named_parameters() if parameter.grad is None or not torch.isfinite(parameter.grad).all()]
    with torch.no_grad():
        logits = network.eval()(image)
    assert logits.shape == (3, 3)
    assert torch.isfinite(logits).all()


def test_joint_supervision_gives_a_value_in_training_alone() -> None:
    network = build("jointvit", width=0.1, size=(16, 16, 16))
    logits, value = network.train()(torch.randn(4, 1, 16, 16, 16))
    assert logits.shape == (4, 3)
    assert value.shape == (4,)
    assert isinstance(network, JointViT)
    assert network.eval()(torch.randn(1, 1, 16, 16, 16)).shape == (1, 3)


def test_attention_is_that_of_torchs_own_encoder() -> None:
    """The same weights in torch's TransformerEncoderLayer, an independent implementation, give the same tokens."""
    torch.manual_seed(1)
    network = VisionTransformer(classes=3, channels=1, width=1 / 6, size=(16, 16, 16)).eval()
    block = network.blocks[0]
    layer = nn.TransformerEncoderLayer(128, 2, 512, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True).eval()
    names = {"self_attn.in_proj_": "attn.qkv.", "self_attn.out_proj.": "attn.proj.", "linear1.": "mlp.fc1.", "linear2.": "mlp.fc2."}
    names |= {"norm1.": "norm1.", "norm2.": "norm2."}
    ours = block.state_dict()
    layer.load_state_dict({theirs + kind: ours[mine + kind] for theirs, mine in names.items() for kind in ("weight", "bias")})
    tokens = torch.randn(2, 65, 128)
    with torch.no_grad():
        torch.testing.assert_close(block(tokens), layer(tokens), rtol=1e-4, atol=1e-5)


def test_a_token_sees_where_its_patch_lies() -> None:
    network = build("vit", width=0.1, size=(16, 16, 16)).eval()
    image = torch.zeros(1, 1, 16, 16, 16)
    image[..., :4, :4, :4] = 5.0
    assert not torch.allclose(network(image), network(image.flip(2)))


def test_channels_are_multiples_of_eight_and_lose_no_more_than_a_tenth() -> None:
    assert [divisible_by_8(value) for value in (1, 8, 11.9, 12, 33, 44, 1280)] == [8, 8, 16, 16, 32, 48, 1280]


@pytest.mark.parametrize("options", [{"name": "alexnet"}, {"name": "resnet18", "width": 0.001}, {"name": "resnet18", "classes": 1}])
def test_what_cannot_be_built_is_said(options: dict[str, object]) -> None:
    with pytest.raises(TrainingError):
        build(**options)


def test_sizes_that_cannot_be_cut_are_said() -> None:
    assert patch_shape((64, 128, 32)) == (16, 16, 8)
    with pytest.raises(TrainingError, match="equal patches"):
        patch_shape((64, 70, 64))
    with pytest.raises(TrainingError, match="cubes"):
        build("efficientnet_b0", size=(32, 32, 64))
    with pytest.raises(TrainingError, match="leaves"):
        build("resnext50", width=0.01)
