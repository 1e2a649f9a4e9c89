import pytest
import torch
from torch import nn

from training.medconv.cost import Cost, CostOptions, count_flops, count_parameters, main, measure, table
from training.medconv.networks import build


def test_parameters_that_are_not_trained_do_not_count() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    network[1].requires_grad_(requires_grad=False)
    assert count_parameters(network) == 8


def _convolution_flops(network: nn.Module, size: int) -> int:
    """The hand's count of a network without a shortcut that changes the size: 2 x kernel x inputs x outputs x places."""
    total, places = 0, {}

    def count(module: nn.Module, _: object, output: object) -> None:
        nonlocal total
        places[module] = output.shape[2:].numel()  # type: ignore[attr-defined]
        if isinstance(module, nn.Conv3d):
            total += 2 * module.weight.numel() * places[module]
        elif isinstance(module, nn.Linear):
            total += 2 * module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, nn.Conv3d | nn.Linear)]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 1, size, size, size))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("name", ["resnet18", "resnet14t", "resnext50", "mobilenetv2"])
def test_operations_of_a_convolutional_network(name: str) -> None:
    assert count_flops(name, width=0.125, size=(32, 32, 32)) == _convolution_flops(build(name, width=0.125, size=(32, 32, 32)), 32)


def test_operations_of_a_vit() -> None:
    """Patches, and in each of 12 layers q, k, v, projection, two products of attention and two layers of the perceptron, by hand."""
    n, d = 65, 768
    layer = 2 * n * d * (3 * d + d + 8 * d) + 2 * 2 * n * n * d
    assert count_flops("vit") == 12 * layer + 2 * 64 * 16**3 * d + 2 * d * 3


def test_a_network_is_measured_in_a_process_of_its_own() -> None:
    found = measure("resnet18", CostOptions(size=(32, 32, 32), repeats=1))
    assert found.parameters == 33_161_539
    assert found.flops == count_flops("resnet18", size=(32, 32, 32)) > count_flops("resnet18", width=0.125, size=(32, 32, 32))
    assert found.latency_ms > 0
    assert found.cpu_ms > 0
    assert 33.2 * 4 / 1.05 < found.memory_mib < 4 * 33.2 * 4  # 33.2 million weights of four bytes, and not many times that


def test_the_table_says_what_was_measured() -> None:
    cost = Cost(network="vit", parameters=88_255_491, flops=11_400_000_000, latency_ms=123.4, cpu_ms=98.6, memory_mib=361.2)
    text = table([cost], CostOptions(repeats=5, threads=2))
    assert "| vit | 88.26 | 11.40 | 123 | 99 | 361 |" in text
    assert "64 x 64 x 64" in text
    assert "medians of 5 passes, 2 CPU threads" in text


def test_the_command_prints_markdown_and_refuses_a_size_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--networks", "resnet10t", "--width", "0.1", "--size", "32", "--repeats", "1"])
    assert "| resnet10t | 0." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--networks", "vit", "--size", "70", "--repeats", "1"])
    assert "equal patches" in capsys.readouterr().err
