"""The log-partition function of a restricted Boltzmann machine: exact where it is tiny, else by annealing."""

import math
from itertools import pairwise

import torch
from torch.nn.functional import softplus

from dlplug_multimodal.nn.rbm import RBM, bernoulli


@torch.no_grad()
def log_partition(rbm: RBM, length: float = 1.0, steps: int = 1000, chains: int = 100) -> tuple[float, float]:
    """Estimate log Z by annealed importance sampling.

    Chains start from the machine without connections, where Z is known, and go through machines whose connections grow
    in strength up to those of the one asked about; each chain's weight is the product of the ratios of unnormalised
    probabilities on the way. The mean weight is Z without bias; its log is a little too small on average.

    Source: Neal, "Annealed Importance Sampling" (2001); Salakhutdinov and Murray, "On the Quantitative Analysis of Deep
    Belief Networks" (2008).

    Args:
        rbm: The machine.
        length: Words a text, for counts.
        steps: Intermediate machines.
        chains: How many chains.

    Returns:
        log Z, and the standard error that the spread of the chains gives it.
    """
    lengths = rbm.visible_bias.new_full((chains, 1), length)
    visible = rbm.sample_visible(rbm.visible_bias.expand(chains, -1), lengths)
    log_weights = torch.zeros(chains, dtype=torch.float64, device=lengths.device)
    betas = torch.linspace(0, 1, steps + 1).tolist()
    for previous, beta in pairwise(betas):
        logits = rbm.hidden_logits(visible)  # (chains, hidden)
        log_weights += (softplus(beta * logits) - softplus(previous * logits)).sum(1).double()
        # Connections and hidden biases count `beta` times, upwards and downwards; visible biases in full.
        inputs = beta * (bernoulli(beta * logits) @ rbm.weight.T) + rbm.visible_bias
        visible = rbm.sample_visible(inputs, lengths)
    start = float(rbm.log_visible_sum(rbm.visible_bias[None], lengths[:1])) + rbm.weight.shape[1] * math.log(2)
    mean = log_weights.logsumexp(0) - math.log(chains)
    error = (log_weights - mean).exp().std() / math.sqrt(chains)
    return start + float(mean), float(error)


@torch.no_grad()
def exact_log_partition(rbm: RBM, length: float = 1.0) -> float:
    """Return log Z as a sum over all states of the hidden units.

    Args:
        rbm: A machine of at most 20 hidden units.
        length: Words a text, for counts.

    Raises:
        ValueError: There are more hidden units.
    """
    hidden = rbm.weight.shape[1]
    if hidden > 20:
        raise ValueError(f"sums over at most 2 to the 20 states, not 2 to the {hidden}")
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * hidden).view(-1, hidden).to(rbm.weight)
    bias = length * (states @ rbm.hidden_bias)  # (states,)
    lengths = states.new_full((len(states), 1), length)
    return float((bias + rbm.log_visible_sum(rbm.visible_input(states), lengths)).logsumexp(0))
