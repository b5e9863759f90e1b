"""Solutions of lecture 6's lab."""

import torch


def discounted_returns(rewards, gamma):
    """Return the discounted sum of rewards from each step on."""
    returns, total = torch.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        total = rewards[t] + gamma * total
        returns[t] = total
    return returns


def value_iteration(P, R, gamma):
    """Return Q*."""
    Q = torch.zeros_like(R)
    for _ in range(1000):
        Q = R + gamma * P @ Q.amax(1)
    return Q


def q_update(Q, s, a, r, next_s, done, lr, gamma):
    """Update the table."""
    target = r if done else r + gamma * Q[next_s].max()
    Q[s, a] += lr * (target - Q[s, a])


def epsilon_greedy(values, epsilon):
    """Return an action."""
    if torch.rand(()) < epsilon:
        return int(torch.randint(len(values), ()))
    return int(values.argmax())


def policy_loss(logits, actions, returns):
    """Return the loss of REINFORCE."""
    log_probs = logits.log_softmax(1).gather(1, actions[:, None])[:, 0]
    return -(log_probs * (returns - returns.mean())).mean()


def gae(rewards, values, last_value, gamma, lam):
    """Return the advantages."""
    following = torch.cat([values[1:], torch.as_tensor([last_value])])
    delta = rewards + gamma * following - values
    advantages, total = torch.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        total = delta[t] + gamma * lam * total
        advantages[t] = total
    return advantages


def ppo_loss(log_probs, old_log_probs, advantages, clip):
    """Return the clipped loss."""
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, clipped * advantages).mean()
