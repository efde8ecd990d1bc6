from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vit_dementia.training.averaging import WeightMean


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))


def _moved(network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter)


def test_once_warm_the_mean_is_pytorchs_own() -> None:
    network = _network()
    ours = WeightMean(network, 0.9)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.n_averaged += 1  # theirs takes the first weights it is shown; they are there
    ours.num_updates += 1000
    for _ in range(10):
        _moved(network)
        ours.update()
        theirs.update_parameters(network)
    for mean, other in zip(
        ours.mean.parameters(), theirs.module.parameters(), strict=True
    ):
        torch.testing.assert_close(mean, other)


def test_the_first_updates_count_more() -> None:
    network = _network()
    mean, before = WeightMean(network, 0.999), network[0].weight.detach().clone()
    _moved(network)
    mean.update()
    torch.testing.assert_close(
        mean.mean[0].weight, 0.1 * before + 0.9 * network[0].weight.detach()
    )


def test_the_mean_stands_in_for_the_weights_and_leaves_no_trace() -> None:
    network = _network()
    mean, shown = WeightMean(network, 0.9), torch.randn(4, 3)
    _moved(network)
    mean.update()
    after = network(shown).detach()
    with mean.in_place():
        torch.testing.assert_close(network(shown), mean.mean(shown), rtol=0, atol=0)
    torch.testing.assert_close(network(shown), after, rtol=0, atol=0)
    with pytest.raises(ZeroDivisionError), mean.in_place():
        1 / 0  # noqa: B018
    torch.testing.assert_close(network(shown), after, rtol=0, atol=0)


def test_a_network_and_its_mean_are_saved_as_one() -> None:
    one, other = WeightMean(_network(), 0.9), WeightMean(_network(), 0.9)
    _moved(one.network)
    one.update()
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other.mean[0].weight, one.mean[0].weight)
    torch.testing.assert_close(other.network[0].weight, one.network[0].weight)
    assert other.num_updates == 1


def test_the_mean_follows_each_update_of_the_optimizer() -> None:
    network = _network()
    mean = WeightMean(network, 0.9)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    mean.follow(optimizer)
    for expected in (1, 2, 3):
        network(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        assert mean.num_updates == expected
