"""Checks of lecture 6's lab."""

import torch

from checks import check, equal, expect, learns


@check
def discounted_returns(answer):
    """Compare with the definition."""
    rewards, gamma = torch.tensor([1.0, 0.0, -2.0, 4.0]), 0.5
    right = torch.tensor([1.0, 0.0, 0.0, 4.0])
    known = {
        "this is one number, of the whole episode: give one for each step, counted from there on": right[0],
        "there is no discount: a reward k steps later counts gamma^k": torch.tensor([3.0, 2.0, 2.0, 4.0]),
        "a step's own reward counts in full: gamma^0 is 1": right * gamma,
        "this sums what came before each step: sum what comes from there on": torch.tensor([1.0, 0.5, -1.75, 3.125]),
        "steps are in reverse order": right.flip(0),
        "rewards are discounted from the episode's start: count from each step": torch.tensor([1.0, 0.0, 0.0, 0.5]),
    }
    look = "Go backwards: the return of a step is its reward plus gamma times the return of the next."
    equal(answer(rewards, gamma), right, "the returns of rewards 1, 0, -2, 4 with gamma 0.5", look, known)
    return "each step's return is its reward plus gamma times the next one's."


@check
def value_iteration(answer):
    """Compare with the fixed point of Bellman's equation of a random process."""
    P, R, gamma = torch.rand(5, 3, 5).softmax(2), torch.randn(5, 3), 0.9
    right = _optimal(P, R, gamma, torch.amax)
    known = {
        "this is V: give Q, a value for each action too": right.amax(1),
        "the next state's value is a mean over actions: the best policy takes the best, amax": _optimal(
            P, R, gamma, torch.mean
        ),
        "there is no discount here, or too much of it: R + gamma P V": R + gamma * P @ R.amax(1),
    }
    look = "Repeat Q = R + gamma P V with V = max Q over actions, a thousand times or until nothing changes."
    equal(answer(P, R, gamma), right, "Q* of five states and three actions", look, known)
    ends = torch.zeros(2, 1, 2)
    equal(answer(ends, torch.ones(2, 1), 0.9), torch.ones(2, 1), "Q* where every step ends the episode", look)
    return "it satisfies Bellman's equation: nothing is changed by one more step."


def _optimal(P, R, gamma, over):
    Q = torch.zeros_like(R)
    for _ in range(1000):
        Q = R + gamma * P @ over(Q, 1)
    return Q


@check
def q_update(answer):
    """Make one step, one that ends the episode, and look at the rest of the table."""
    start = torch.tensor([[1.0, 2.0], [5.0, -1.0], [0.0, 3.0]])
    look = "Move Q[s, a] by lr towards r + gamma max Q[s']."
    table = start.clone()
    answer(table, 0, 1, -1.0, 2, False, 0.5, 0.9)
    known = {
        "what follows is left out, or the first of the next actions is taken: r + gamma max Q[s']": 0.5,
        "the difference is added in full: only lr of it": -1.0 + 0.9 * 3,
        "Q[s, a] itself is missing from the difference: target - Q[s, a]": 2 + 0.5 * (-1 + 0.9 * 3),
    }
    expect(not torch.equal(table, start), "nothing changed: write into the table, `Q[s, a] += …`")
    equal(table[0, 1], 2 + 0.5 * (-1 + 0.9 * 3 - 2), "Q[0, 1] after a step to state 2", look, known)
    others = torch.ones(3, 2, dtype=torch.bool)
    others[0, 1] = False
    expect(torch.equal(table[others], start[others]), "other entries moved: only Q[s, a] was seen")
    table = start.clone()
    answer(table, 0, 1, -1.0, 2, True, 0.5, 0.9)
    known = {"after the end there is nothing to come: leave max Q[s'] out where done": 2 + 0.5 * (-1 + 0.9 * 3 - 2)}
    equal(table[0, 1], 0.5, "Q[0, 1] after a step that ends the episode", look, known)
    return "one entry moves, towards what was seen plus the best that is known to follow."


@check
def epsilon_greedy(answer):
    """Count actions."""
    values = torch.tensor([0.0, 3.0, 1.0])
    actions = [answer(values, 0.3) for _ in range(3000)]
    expect(all(isinstance(action, int) for action in actions), "an action is an int: `int(...)`")
    expect(set(actions) <= {0, 1, 2}, f"there are actions 0, 1 and 2, not {max(actions)}")
    share = [actions.count(action) / 3000 for action in range(3)]
    expect(share[1] > 0.5, "the best action is not what is mostly chosen: with 1 - epsilon it is the argmax")
    expect(share[1] < 0.99, "nothing else is ever tried: with probability epsilon draw any action")
    expect(
        abs(share[1] - 0.8) < 0.04, f"with epsilon 0.3 and three actions the best has 0.7 + 0.1, yours {share[1]:.2f}"
    )
    expect({answer(values, 0.0) for _ in range(50)} == {1}, "with epsilon 0 it should always be the best")
    return "mostly the best that is known, sometimes anything."


@check
def policy_loss(answer):
    """Compare with the formula, and with the gradient."""
    logits, actions = torch.randn(6, 3, requires_grad=True), torch.tensor([0, 1, 2, 0, 1, 2])
    returns = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    log = logits.log_softmax(1).gather(1, actions[:, None])[:, 0]
    right = -(log * (returns - returns.mean())).mean()
    known = {
        "the sign is turned: gradient descent on this makes good actions less probable": -right,
        "the baseline is missing: subtract the mean return": -(log * returns).mean(),
        "this is a sum: take the mean over steps": right * 6,
        "probabilities are weighed: it is their logs": -(log.exp() * (returns - returns.mean())).mean(),
    }
    loss = answer(logits, actions, returns)
    equal(loss, right, "the loss of six steps", "It is -mean of log π(a) × (return - mean return).", known)
    learns(loss)
    [gradient] = torch.autograd.grad(loss, logits)
    expect(float(gradient[5, 2]) < 0, "the step of the highest return should raise the logit of its action")
    return "actions of returns above the mean become more probable, the others less."


@check
def gae(answer):
    """Compare with both extremes and the sum between them."""
    rewards, values, last, gamma = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.5, 1.0, -1.0]), 3.0, 0.9
    following = torch.tensor([1.0, -1.0, 3.0])
    delta = rewards + gamma * following - values
    look = "Backwards: A_t = delta_t + gamma lam A_(t+1), delta_t = r_t + gamma V(s_(t+1)) - V(s_t)."
    wrong = {"values of the next step are missing in delta: r + gamma V(next) - V": rewards - values}
    equal(answer(rewards, values, last, gamma, 0.0), delta, "with lam 0 the advantages", look, wrong)
    returns, total = [], last
    for reward in rewards.flip(0):
        total = reward + gamma * total
        returns.insert(0, total)
    full = torch.stack(returns) - values
    known = {"the sum decays by gamma alone or lam alone: by their product": _backwards(delta, 1.0)}
    equal(answer(rewards, values, last, gamma, 1.0), full, "with lam 1 the advantages", look, known)
    known = {
        "the sum decays by lam alone: by gamma × lam": _backwards(delta, 0.5),
        "the sum decays by gamma alone: by gamma × lam": _backwards(delta, gamma),
    }
    equal(answer(rewards, values, last, gamma, 0.5), _backwards(delta, 0.45), "with lam 0.5 they", look, known)
    return "lam 0 trusts the values, lam 1 the rewards, and what is between weighs both."


def _backwards(delta, decay):
    sums, total = [], torch.tensor(0.0)
    for each in delta.flip(0):
        total = each + decay * total
        sums.insert(0, total)
    return torch.stack(sums)


@check
def ppo_loss(answer):
    """Compare with the formula, and see where the gradient stops."""
    old = torch.zeros(4)
    new = torch.tensor([0.5, 0.5, -0.5, -0.5], requires_grad=True)
    advantages = torch.tensor([1.0, -2.0, 3.0, -1.5])
    ratio = new.exp()
    clipped = ratio.clamp(0.8, 1.2)
    right = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    known = {
        "the sign is turned: a loss is minimised": -right,
        "the larger of both is taken: it should be the smaller, the pessimistic one": -torch.maximum(
            ratio * advantages, clipped * advantages
        ).mean(),
        "clipped alone: where the policy got worse by far, nothing would bring it back. Take the smaller of both": -(
            clipped * advantages
        ).mean(),
        "nothing is clipped": -(ratio * advantages).mean(),
        "the ratio of probabilities is exp(new - old), not the difference of their logs": -torch.minimum(
            new * advantages, new.clamp(0.8, 1.2) * advantages
        ).mean(),
    }
    loss = answer(new, old, advantages, 0.2)
    look = "It is -mean of min(ratio × A, clip(ratio, 1 - clip, 1 + clip) × A)."
    equal(loss, right, "the loss of ratios 1.65, 1.65, 0.61, 0.61", look, known)
    learns(loss)
    [gradient] = torch.autograd.grad(loss, new)
    expect(
        bool(gradient[0] == 0 and gradient[3] == 0), "where the policy has moved far enough, the gradient should be 0"
    )
    expect(bool(gradient[1] > 0), "where it moved the wrong way, it should not")
    return "a policy gains nothing by moving further than the clip, and can always come back."
