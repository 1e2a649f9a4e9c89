"""The graph network against an independent computation, and that it learns to find what it is shown."""

import numpy as np
import pytest
import torch
from torch import Tensor

from inference.cxr.landmarks import GraphLayer, GraphNetwork, LandmarkGraph, moved

pytestmark = pytest.mark.unit


def small(**changes: object) -> LandmarkGraph:
    given = {"out_channels": 6, "width": 0.0625, "pyramid": 8, "embedding": 4, "hidden": (8, 4), **changes}
    return LandmarkGraph(**given)  # type: ignore[arg-type]


def test_a_graph_layer_is_a_weighted_sum_over_all_nodes() -> None:
    torch.manual_seed(0)
    layer = GraphLayer(3, 2)
    signal, edges = torch.randn(2, 4, 3), torch.randn(4, 4)
    own, others = (one.weight.detach().numpy() for one in (layer.own, layer.others))
    bias = layer.own.bias.detach().numpy()
    expected = np.einsum("bni,oi->bno", signal.numpy(), own) + bias + np.einsum("nm,bmi,oi->bno", edges.numpy(), signal.numpy(), others)
    np.testing.assert_allclose(layer(signal, edges).detach().numpy(), expected, atol=1e-5)


def test_the_affine_step_turns_scales_and_shifts_about_the_middle() -> None:
    shape = torch.tensor([[[0.4, 0.5], [0.6, 0.5], [0.5, 0.7]]])
    assert torch.equal(moved(shape, torch.zeros(1, 6)), shape)
    shifted = moved(shape, torch.tensor([[0.0, 0.0, 0.1, 0.0, 0.0, -0.2]]))
    assert torch.allclose(shifted, shape + torch.tensor([0.1, -0.2]))
    turned = moved(shape, torch.tensor([[-1.0, -1.0, 0.0, 1.0, -1.0, 0.0]]))  # a quarter: (row, column) -> (-column, row)
    away = shape - shape.mean(dim=1, keepdim=True)
    expected = torch.stack([-away[..., 1], away[..., 0]], dim=-1) + shape.mean(dim=1, keepdim=True)
    assert torch.allclose(turned, expected, atol=1e-6)


def test_nothing_learnt_is_the_mean_shape() -> None:
    network = small().eval()
    shape = torch.tensor([[0.2, 0.3], [0.5, 0.5], [0.8, 0.4]])
    network.set_initial(shape)
    with torch.inference_mode():
        found = network(torch.rand(2, 1, 64, 64))
    assert torch.equal(found, shape.flatten().expand(2, -1))


def test_a_node_sees_the_map_at_its_own_place_and_the_way_to_the_others() -> None:
    network = small(embedding=1, pyramid=1).eval()
    with torch.no_grad():
        network.look.weight.fill_(1.0)
        network.look.bias.zero_()
    rows, columns = torch.meshgrid((torch.arange(16) + 0.5) / 16, (torch.arange(8) + 0.5) / 8, indexing="ij")
    ramp = (10 * rows + columns)[None, None]
    shape = torch.tensor([[[0.25, 0.75], [0.5, 0.5], [0.6, 0.2]]])
    found = network.signal(ramp, shape)[0].detach()
    assert torch.allclose(found[:, 0], 10 * shape[0, :, 0] + shape[0, :, 1], atol=1e-5)
    assert torch.allclose(found[1, 1:].view(3, 2), shape[0] - shape[0, 1], atol=1e-6)


def test_affine_changes_of_the_whole_graph_come_from_the_mean_over_nodes() -> None:
    torch.manual_seed(1)
    network = GraphNetwork(3, (5,), 6)
    torch.nn.init.normal_(network.last.weight)
    signal, edges = torch.randn(2, 4, 3), torch.rand(4, 4)
    hidden = torch.relu(network.layers[0](signal, edges))
    assert torch.allclose(network(signal, edges, pooled=True), network.last(hidden.mean(dim=1)), atol=1e-6)
    assert network(signal, edges).shape == (2, 4, 6)


@pytest.mark.parametrize("backbone", ["resnet18", "vgg13"])
def test_the_map_has_a_quarter_of_the_resolution(backbone: str) -> None:
    network = small(backbone=backbone).eval()
    with torch.inference_mode():
        assert network.maps(torch.rand(1, 1, 64, 96)).shape == (1, 8, 16, 24)


def spots(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three bright spots that are moved together, and each a little by itself."""
    base = torch.tensor([[0.3, 0.3], [0.3, 0.7], [0.7, 0.5]])
    shift = 0.3 * (torch.rand(8, 1, 2, generator=generator) - 0.5)
    places = base + shift + 0.06 * (torch.rand(8, 3, 2, generator=generator) - 0.5)
    grid = (torch.arange(64) + 0.5) / 64
    row, column = (-((grid - places[..., axis, None]) ** 2) / (2 * 0.03**2) for axis in (0, 1))
    return (row.exp()[..., None] * column.exp()[..., None, :]).sum(dim=1, keepdim=True), places


def test_it_learns_to_find_spots() -> None:
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(8)
    network = small(width=0.125, pyramid=16, embedding=16, hidden=(32, 16))
    network.set_initial(torch.tensor([[0.3, 0.3], [0.3, 0.7], [0.7, 0.5]]))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    image, places = spots(generator)
    start = float((network.initial - places).norm(dim=2).mean())
    network.train()
    for _ in range(120):
        image, places = spots(generator)
        loss = sum((shape - places).abs().mean() for shape in network.path(image))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
    image, places = spots(generator)
    network.eval()
    with torch.inference_mode():
        path = [float((shape - places).norm(dim=2).mean()) for shape in network.path(image)]
    assert path[-1] < 0.35 * start
    assert path[-1] < path[0]


@pytest.mark.parametrize("wrong", [{"out_channels": 5}, {"steps": 0}, {"hidden": ()}, {"spatial_dims": 3}])
def test_what_cannot_be_made_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="two dimensions"):
        small(**wrong)
