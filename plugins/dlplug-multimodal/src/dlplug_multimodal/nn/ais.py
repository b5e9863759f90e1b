"""The log-partition of a restricted Boltzmann machine: exactly where it is tiny, else by annealing."""

import math
from itertools import pairwise

import torch
from torch.nn.functional import softplus

from dlplug_multimodal.nn.rbm import RBM, flip


@torch.no_grad()
def log_partition(rbm: RBM, size: float = 1.0, steps: int = 1000, chains: int = 100) -> tuple[float, float]:
    """Estimate log Z by annealed importance sampling.

    Chains start from the machine whose hidden units say nothing, where Z is known, and go through machines whose hidden
    units say ever more, up to the one asked about; each chain's weight is what the free energies change on the way. The
    mean weight is Z without bias; its log is a little too small on average.

    Source: Neal, "Annealed Importance Sampling" (2001); Salakhutdinov and Murray, "On the Quantitative Analysis of Deep
    Belief Networks" (2008).

    Args:
        rbm: The machine.
        size: Words a text, for counts.
        steps: Machines on the way.
        chains: How many chains.

    Returns:
        log Z, and the standard error that the spread of the chains gives it.
    """
    sizes = rbm.visible_bias.new_full((chains, 1), size)
    visible = rbm.draw(rbm.visible_bias.expand(chains, -1), sizes)
    weights = torch.zeros(chains, dtype=torch.float64, device=sizes.device)
    shares = torch.linspace(0, 1, steps + 1).tolist()
    for before, share in pairwise(shares):
        up = rbm.up(visible)  # (chains, hidden)
        weights += (softplus(share * up) - softplus(before * up)).sum(1).double()
        # The hidden units' words count `share` times, upwards and downwards.
        visible = rbm.draw(share * (flip(share * up) @ rbm.weight.T) + rbm.visible_bias, sizes)
    start = float(rbm.log_volume(rbm.visible_bias[None], sizes[:1])) + rbm.weight.shape[1] * math.log(2)
    mean = weights.logsumexp(0) - math.log(chains)
    error = (weights - mean).exp().std() / math.sqrt(chains)
    return start + float(mean), float(error)


@torch.no_grad()
def exact_log_partition(rbm: RBM, size: float = 1.0) -> float:
    """Return log Z as a sum over all states of the hidden units.

    Args:
        rbm: A machine of at most 20 hidden units.
        size: Words a text, for counts.

    Raises:
        ValueError: There are more hidden units.
    """
    hidden = rbm.weight.shape[1]
    if hidden > 20:
        raise ValueError(f"sums over at most 2 to the 20 states, not 2 to the {hidden}")
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * hidden).view(-1, hidden).to(rbm.weight)
    own = size * (states @ rbm.hidden_bias)  # (states,)
    return float((own + rbm.log_volume(rbm.down(states), states.new_full((len(states), 1), size))).logsumexp(0))
