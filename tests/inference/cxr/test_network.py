"""The network's equations against an independent computation, its parameters against the paper's, and what it must not do."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from inference.cxr.network import DensityEnsemble, Encoder, RegionRegression, SelfAttention

pytestmark = pytest.mark.unit

TINY: dict[str, Any] = {"backbone": "vgg13", "width": 0.03125}


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def array(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()


def layer_norm(z: NDArray[np.float64], norm: nn.LayerNorm) -> NDArray[np.float64]:
    away = z - z.mean(axis=-1, keepdims=True)
    return away / np.sqrt(z.var(axis=-1, keepdims=True) + norm.eps) * array(norm.weight) + array(norm.bias)


def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def attended(z: NDArray[np.float64], module: SelfAttention) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Equations 5 to 8, head by head, with einsum."""
    size, matrix = module.head_dim, array(module.qkv.weight)
    per_kind = module.heads * size
    heads, weights = [], []
    for head in range(module.heads):
        u_q, u_k, u_v = (matrix[kind * per_kind + head * size : kind * per_kind + (head + 1) * size] for kind in range(3))
        q, k, v = (np.einsum("bnd,hd->bnh", z, u) for u in (u_q, u_k, u_v))
        scores = np.exp(np.einsum("bih,bjh->bij", q, k) / np.sqrt(size))
        a = scores / scores.sum(axis=-1, keepdims=True)
        heads.append(np.einsum("bij,bjh->bih", a, v))
        weights.append(a)
    joined = np.concatenate(heads, axis=-1)
    return np.einsum("bnh,dh->bnd", joined, array(module.join.weight)) + array(module.join.bias), np.stack(weights, axis=1)


def test_attention_is_equations_5_to_8_also_where_heads_do_not_divide_the_features() -> None:
    torch.manual_seed(1)
    module = SelfAttention(20, 6)  # D_h = 3: 18 of 20 features, as 510 of the paper's 512
    z = torch.randn(2, 5, 20)
    found, weights = module(z)
    expected, expected_weights = attended(array(z), module)
    np.testing.assert_allclose(array(found), expected, atol=1e-5)
    np.testing.assert_allclose(array(weights), expected_weights, atol=1e-6)
    with pytest.raises(ValueError, match="5 features cannot be shared out among 6 heads"):
        SelfAttention(5, 6)


def test_the_encoder_is_equations_1_to_4() -> None:
    torch.manual_seed(2)
    encoder = Encoder(4, 13, layers=3, heads=2)
    f = torch.randn(2, 4, 13)
    z = np.concatenate([np.repeat(array(encoder.token), 2, axis=0), array(f)], axis=1) + array(encoder.positions)
    for layer in encoder.layers:
        z = attended(layer_norm(z, layer.norm1), layer.attention)[0] + z
        first, last = layer.mlp[0], layer.mlp[2]
        hidden = gelu(np.einsum("bnd,hd->bnh", layer_norm(z, layer.norm2), array(first.weight)) + array(first.bias))
        z = np.einsum("bnh,dh->bnd", hidden, array(last.weight)) + array(last.bias) + z
    found, weights = encoder(f)
    np.testing.assert_allclose(array(found), z[:, 1:].mean(axis=1), atol=1e-5)
    assert weights.shape == (2, 3, 2, 5, 5)


def test_parameters_beside_the_paper_s() -> None:
    with torch.device("meta"):
        network = RegionRegression(15)
    assert network.encoder is not None
    assert network.local is not None
    assert count(network.backbone) == 14_714_688 - 2 * 64 * 9  # VGG-16 with one channel instead of three
    assert count(network.encoder) == 6 * (512 * 1530 + 510 * 512 + 512 + 512 * 256 * 2 + 256 + 512 + 4 * 512) + 17 * 512
    assert count(network.overall) == 131_585
    assert count(network.local) == 15 * 131_585
    assert network.encoder.positions.shape == (1, 16, 512)
    assert count(network) == pytest.approx(25e6, rel=0.02)


@pytest.mark.parametrize("fusion", ["attention", "concatenation", "none"])
def test_each_fusion_joins_the_features_as_it_says(fusion: Any) -> None:
    torch.manual_seed(3)
    regions = 1 if fusion == "none" else 3
    network = RegionRegression(regions, fusion=fusion, layers=2, **TINY).eval()
    network.set_scale(0.9, 0.2)
    x = torch.rand(2, regions, 32, 32)
    with torch.inference_mode():
        f = torch.stack([network.backbone(x[:, [n]]).mean(dim=(2, 3)) for n in range(regions)], dim=1)
        if fusion == "attention":
            assert network.encoder is not None
            joined = network.encoder(f)[0]
        else:
            joined = torch.cat(list(f.unbind(dim=1)), dim=1)
        expected = 0.9 + 0.2 * network.overall(joined)
        found, local = network.with_local(x)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(found, network(x))
    if fusion == "none":
        assert network.local is None
        assert local.shape == (2, 0)
    else:
        assert network.local is not None
        with torch.inference_mode():
            second = 0.9 + 0.2 * network.local[1](f[:, 1])
        assert torch.allclose(local[:, [1]], second, atol=1e-6)


def test_every_region_counts_and_local_losses_reach_the_backbone_alone() -> None:
    torch.manual_seed(4)
    network = RegionRegression(3, layers=2, **TINY)
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(x).sum().backward()
    assert x.grad is not None
    assert all(float(x.grad[:, n].abs().sum()) > 0 for n in range(3))
    network.zero_grad()
    network.with_local(x)[1].sum().backward()
    assert network.encoder is not None
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    assert network.backbone.features[0].weight.grad is not None


def test_shown_attention_sums_to_one_over_the_regions() -> None:
    torch.manual_seed(5)
    network = RegionRegression(4, layers=2, **TINY).eval()
    with torch.inference_mode():
        shares = network.attention(torch.rand(3, 4, 32, 32))
    assert shares.shape == (3, 4)
    assert torch.allclose(shares.sum(dim=1), torch.ones(3))
    with pytest.raises(ValueError, match="no attention to show"):
        RegionRegression(1, fusion="none", **TINY).attention(torch.rand(1, 1, 32, 32))


def test_an_ensemble_is_its_members_side_by_side() -> None:
    torch.manual_seed(6)
    ensemble = DensityEnsemble(in_channels=2, out_channels=3, layers=1, **TINY).eval()
    member = RegionRegression(2, layers=1, **TINY).eval()
    member.set_scale(1.1, 0.3)
    state = {name: tensor for name, tensor in member.state_dict().items() if not name.startswith("local.")}
    ensemble.members[1].load_state_dict(state)
    x = torch.rand(2, 2, 32, 32)
    with torch.inference_mode():
        found = ensemble(x)
        assert found.shape == (2, 3)
        assert torch.allclose(found[:, [1]], member(x), atol=1e-6)
        assert torch.allclose(ensemble.attention(x)[:, 1], member.attention(x), atol=1e-6)
        once, shares = ensemble.with_attention(x)
        assert shares is not None
        assert torch.allclose(once, found, atol=1e-6)
        assert torch.allclose(shares, ensemble.attention(x), atol=1e-6)
        plain = DensityEnsemble(in_channels=2, out_channels=2, fusion="concatenation", **TINY).eval()
        answer, nothing = plain.with_attention(x)
        assert torch.allclose(answer, plain(x), atol=1e-6)
        assert nothing is None


@pytest.mark.parametrize(
    "wrong", [{"fusion": "sum"}, {"regions": 0}, {"regions": 2, "fusion": "none"}, {"backbone": "vit"}, {"width": 0.0001, "heads": 6}]
)
def test_what_cannot_be_made_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"there is no|sees one region|cannot be shared"):
        RegionRegression(**{"regions": 2, **wrong})
    with pytest.raises(ValueError, match="two axes"):
        DensityEnsemble(spatial_dims=3)
