"""The experts' network: encoders of the paper's size, a gate that is a distribution, one expert that is a plain head."""

import numpy as np
import pytest
import torch
from monai.networks.nets import SwinUNETR, resnet34
from torch import nn

from inference.ct.vertebra_encoder import ENCODERS, SwinEncoder, build_encoder
from inference.ct.vertebra_experts import OUTPUTS, POSITIONS, DeviceExperts, VertebraExperts
from inference.errors import PermanentError

pytestmark = pytest.mark.unit


MONAI_SWIN_PARAMETERS = 8_062_002
"""Of ``SwinUNETR(in_channels=1, feature_size=48).swinViT``, counted in MONAI 1.6."""


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def experts(**changes: object) -> DeviceExperts:
    torch.manual_seed(0)
    given: dict[str, int] = {"experts": 3, "devices": 3}
    return DeviceExperts(8, 5, **(given | changes))  # type: ignore[arg-type]


def test_positions_and_outputs_are_those_of_the_paper() -> None:
    assert len(POSITIONS) == 18
    assert (POSITIONS[0], POSITIONS[11], POSITIONS[12], POSITIONS[17]) == ("T1", "T12", "L1", "L6")
    assert len(OUTPUTS) == 2 + 1 + 18


def test_resnet34_is_monais_without_its_last_layer() -> None:
    with torch.device("meta"):  # shapes alone
        encoder = build_encoder("resnet34")
        whole = resnet34(spatial_dims=3, n_input_channels=1, num_classes=3, conv1_t_size=7, conv1_t_stride=2, bias_downsample=False)
    assert encoder.features == 512
    assert parameters(encoder) == parameters(whole) - (512 * 3 + 3)
    blocks = [len(getattr(encoder.body, f"layer{number}")) for number in (1, 2, 3, 4)]  # type: ignore[union-attr, arg-type]
    assert blocks == [3, 4, 6, 3]


def test_swin_transformer_has_the_size_of_the_encoder_of_swin_unetr() -> None:
    with torch.device("meta"):
        encoder = build_encoder("swint")
    assert encoder.features == 768
    assert parameters(encoder) == MONAI_SWIN_PARAMETERS


@pytest.mark.parametrize("window", [7, 4])
def test_swin_transformer_computes_what_monais_does(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights in MONAI's own forward pass; its one use of einops is spelled out here."""
    from monai.networks.nets import swin_unetr

    orders = {"b c d h w -> b d h w c": (0, 2, 3, 4, 1), "b d h w c -> b c d h w": (0, 4, 1, 2, 3)}
    orders |= {name.replace("b", "n", 1).replace("> b", "> n"): order for name, order in orders.items()}
    monkeypatch.setattr(swin_unetr, "rearrange", lambda tensor, pattern: tensor.permute(*orders[pattern]))
    torch.manual_seed(1)
    ours = SwinEncoder(in_channels=1, width=0.25, window=window).eval()
    theirs = SwinUNETR(in_channels=1, out_channels=2, feature_size=12, window_size=window).swinViT.eval()
    state = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    theirs.load_state_dict(state)
    image = torch.randn(1, 1, 32, 32, 34)
    with torch.inference_mode():
        expected = theirs(image, normalize=True)[-1].mean(dim=(2, 3, 4))
        found = ours(image)
    torch.testing.assert_close(found, expected)


def test_every_encoder_says_how_long_its_vector_is() -> None:
    for name in ENCODERS:
        encoder = build_encoder(name, width=0.25).eval()
        with torch.inference_mode():
            assert encoder(torch.randn(1, 1, 32, 32, 32)).shape == (1, encoder.features)
    for wrong in (
        {"name": "vgg"},
        {"name": "resnet34", "width": 0.001},
        {"name": "resnet34", "in_channels": 0},
        {"name": "swint", "attention_window": 1},
    ):
        with pytest.raises(PermanentError):
            build_encoder(**wrong)  # type: ignore[arg-type]


def test_the_gate_sums_to_one_and_depends_on_the_device_and_the_image() -> None:
    mixture = experts()
    embedding, device = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    gates = mixture.weights(embedding, device)
    torch.testing.assert_close(gates.sum(dim=1), torch.ones(6))
    assert (gates > 0).all()
    assert not torch.allclose(gates, mixture.weights(embedding, torch.zeros(6, dtype=torch.long)))
    assert not torch.allclose(gates, mixture.weights(embedding.flip(0), device))


def test_the_output_is_the_weighted_sum_of_the_experts() -> None:
    mixture = experts()
    embedding, device = torch.randn(4, 8), torch.tensor([2, 1, 0, 1])
    said, gates = mixture(embedding, device)
    hidden = embedding + mixture.devices.weight[device]
    scores = mixture.gate(hidden).detach().numpy().astype(np.float64)
    expected_gates = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gates.detach().numpy(), expected_gates, rtol=1e-5)
    expected = np.zeros((4, 5))
    for number, expert in enumerate(mixture.experts):
        weight, bias = (one.detach().numpy() for one in expert.parameters())
        expected += expected_gates[:, number : number + 1] * (embedding.numpy() @ weight.T + bias)
    np.testing.assert_allclose(said.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_one_expert_is_a_plain_head() -> None:
    mixture = experts(experts=1)
    embedding = torch.randn(5, 8)
    for device in (0, 2):
        said, gates = mixture(embedding, torch.full((5,), device))
        torch.testing.assert_close(gates, torch.ones(5, 1))
        torch.testing.assert_close(said, mixture.experts[0](embedding))


def test_a_gradient_reaches_every_expert_the_gate_and_every_device() -> None:
    mixture = experts()
    said, _ = mixture(torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 2]))
    said.square().sum().backward()
    for expert in mixture.experts:
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in expert.parameters())
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in mixture.gate.parameters())
    assert mixture.devices.weight.grad is not None
    assert (mixture.devices.weight.grad.abs().sum(dim=1) > 0).all()


def test_the_network_says_density_in_g_per_cm2_and_a_flat_row_for_a_bundle() -> None:
    torch.manual_seed(2)
    network = VertebraExperts(backbone="resnet18", width=0.125).eval()
    image, device = torch.randn(2, 1, 16, 16, 16), torch.tensor([1, 2])
    with torch.inference_mode():
        plain = network.read(image, device)
        network.bmd_mean.fill_(0.95)
        network.bmd_sd.fill_(0.15)
        said = network.read(image, device)
        flat = network(image, device)
        unknown = network(image)
        first = network(image, torch.zeros(2, dtype=torch.long))
    standard = plain.bmd_g_cm2 - 1.0  # in a fresh network mean and deviation are 1
    torch.testing.assert_close(said.bmd_g_cm2, 0.95 + 0.15 * standard)
    assert (said.diagnosis.shape, said.position.shape, said.gates.shape) == ((2, 2), (2, 18), (2, 3))
    torch.testing.assert_close(flat, torch.cat([said.diagnosis, said.bmd_g_cm2[:, None], said.position], dim=1))
    torch.testing.assert_close(unknown, first)  # an unknown device is read on the scale of the first, which must be named
    assert not torch.allclose(unknown, flat)


def test_another_network_than_this_is_refused() -> None:
    for wrong in ({"spatial_dims": 2}, {"out_channels": 3}, {"experts": 0}, {"backbone": "vgg"}):
        with pytest.raises(PermanentError):
            VertebraExperts(**wrong)  # type: ignore[arg-type]
