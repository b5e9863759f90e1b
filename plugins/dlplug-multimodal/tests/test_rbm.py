"""Restricted Boltzmann machines against their energies, summed over all states."""

import itertools
import math

import pytest
import torch

from dlplug_multimodal.nn.ais import exact_log_partition, log_partition
from dlplug_multimodal.nn.rbm import RBM, BernoulliRBM, GaussianBernoulliRBM, ReplicatedSoftmaxRBM

KINDS = (BernoulliRBM, GaussianBernoulliRBM, ReplicatedSoftmaxRBM)


def machine(kind, visible=4, hidden=3, seed=0, strength=1.0) -> RBM:
    torch.manual_seed(seed)
    rbm = kind(visible, hidden)
    with torch.no_grad():
        for parameter in rbm.parameters():
            parameter.normal_(0, strength)
    return rbm.requires_grad_(False)


def states(n):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))


def texts(words, length):
    """All texts of a length as counts, each order of the words on a row of its own."""
    each = torch.tensor(list(itertools.product(range(words), repeat=length)))
    return torch.nn.functional.one_hot(each, words).sum(1).float()


@pytest.mark.parametrize(("kind", "visible"), [(BernoulliRBM, states(4)), (ReplicatedSoftmaxRBM, texts(4, 3))])
def test_energies_summed_over_all_states_give_z_and_free_energies(kind, visible):
    rbm, hidden = machine(kind), states(3)
    energies = torch.stack([rbm.energy(visible, h.expand(len(visible), -1)) for h in hidden], 1)
    assert torch.allclose((-energies).logsumexp(1), -rbm.free_energy(visible), atol=1e-4)
    length = 3 if kind is ReplicatedSoftmaxRBM else 1
    assert (-energies).flatten().logsumexp(0).item() == pytest.approx(exact_log_partition(rbm, length), abs=1e-4)
    given_v = (-energies).softmax(1) @ hidden
    assert torch.allclose(given_v, rbm.hidden_logits(visible).sigmoid(), atol=1e-5)
    given_h = (-energies).softmax(0).T @ visible
    means = rbm.visible_mean(rbm.visible_input(hidden), torch.full((len(hidden), 1), float(length)))
    assert torch.allclose(given_h, means, atol=1e-5)


def test_gaussian_units_on_a_fine_grid_give_z_and_means():
    rbm, hidden = machine(GaussianBernoulliRBM, visible=1, hidden=2), states(2)
    grid = torch.arange(-12, 12, 0.01)[:, None]
    energies = torch.stack([rbm.energy(grid, h.expand(len(grid), -1)) for h in hidden], 1)
    assert (-energies).flatten().logsumexp(0).item() + math.log(0.01) == pytest.approx(
        exact_log_partition(rbm), abs=1e-3
    )
    assert torch.allclose((-energies).softmax(0).T @ grid, rbm.visible_input(hidden), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_expected_means(kind):
    rbm = machine(kind)
    inputs, lengths = rbm.visible_input(states(3)).repeat(4000, 1), torch.full((32000, 1), 2.0)
    samples = rbm.sample_visible(inputs, lengths).view(4000, 8, 4)
    assert torch.allclose(samples.mean(0), rbm.visible_mean(inputs, lengths)[:8], atol=0.08)
    if kind is ReplicatedSoftmaxRBM:
        assert samples.sum(2).eq(2).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cd_gradient_is_the_gradient_of_the_free_energies(kind):
    rbm = machine(kind).requires_grad_(True)
    data, model = (torch.randint(0, 3, (5, 4)).float() for _ in range(2))
    (rbm.free_energy(data).mean() - rbm.free_energy(model).mean()).backward()
    for parameter, by_hand in zip(rbm.parameters(), rbm.cd_gradient(data, model), strict=True):
        assert torch.allclose(parameter.grad, by_hand, atol=1e-5)


@pytest.mark.parametrize(("kind", "length"), [(BernoulliRBM, 1), (GaussianBernoulliRBM, 1), (ReplicatedSoftmaxRBM, 6)])
def test_annealing_finds_the_partition_that_the_sum_gives(kind, length):
    rbm = machine(kind, visible=6, hidden=5, strength=0.7)
    exact = exact_log_partition(rbm, length)
    torch.manual_seed(0)
    found, error = log_partition(rbm, length, steps=3000, chains=2000)
    assert math.exp(found - exact) == pytest.approx(1, abs=0.01)
    assert error < 0.01


def test_a_chain_that_jumps_at_once_is_worse():
    """The control: without annealing, chains do not get where the machine's mass is."""
    rbm = machine(BernoulliRBM, visible=20, hidden=12, strength=1.5)
    exact = exact_log_partition(rbm)
    torch.manual_seed(0)
    assert abs(log_partition(rbm, steps=2000)[0] - exact) < 0.2
    assert abs(log_partition(rbm, steps=1)[0] - exact) > 1


def test_sampling_reaches_the_machine_s_own_distribution():
    rbm, visible = machine(BernoulliRBM), states(4)
    torch.manual_seed(0)
    samples = rbm.gibbs(torch.zeros(20000, 4), 60)
    places = (samples @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    shares = torch.bincount(places, minlength=16) / len(samples)
    assert torch.allclose(shares, (-rbm.free_energy(visible)).softmax(0), atol=0.015)


def test_too_large_a_sum_is_refused():
    with pytest.raises(ValueError, match="at most 2 to the 20 states, not 2 to the 21"):
        exact_log_partition(BernoulliRBM(2, 21))
