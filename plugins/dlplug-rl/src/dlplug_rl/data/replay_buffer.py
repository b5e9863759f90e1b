"""The replay buffer: past transitions, drawn at random or by priority."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dlplug.errors import InputError


class ReplayBuffer:
    """The latest transitions, in tensors that are allocated once.

    Args:
        capacity: Transitions that are kept.
        alpha: How much more often transitions of a larger error are drawn: 0 for all alike, 1 in proportion (Schaul et
            al., 2016).
        device: Where they are kept.
    """

    def __init__(self, capacity: int, alpha: float, device: torch.device) -> None:
        self.capacity, self.alpha, self.device = capacity, alpha, device
        self.size = self._next = 0
        self._columns: dict[str, Tensor] = {}
        self._tree = SumTree(capacity, device) if alpha else None
        self._max_priority = torch.ones((), dtype=torch.float64, device=device)

    def add(self, transitions: Mapping[str, Tensor]) -> None:
        """Store transitions in place of the oldest, with the highest priority that any has had.

        Args:
            transitions: Columns of any shape (m, ...), the same ones each time.

        Raises:
            InputError: There is not enough memory for so many.
        """
        count = len(next(iter(transitions.values())))
        if not self._columns:
            try:
                self._columns = {key: x.new_zeros(self.capacity, *x.shape[1:]) for key, x in transitions.items()}
            except RuntimeError as error:
                raise InputError(f"buffer_size: no memory for {self.capacity:,} such transitions") from error
        indices = (self._next + torch.arange(count, device=self.device)) % self.capacity
        for name, column in transitions.items():
            self._columns[name][indices] = column
        if self._tree:
            self._tree.update(indices, self._max_priority.expand(count))
        self._next = (self._next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def sample(self, count: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Draw transitions, with replacement.

        Returns:
            Their indices, shape (count,), and their columns.
        """
        if self._tree:
            indices = self._tree.sample(count).clamp_max(self.size - 1)  # rounding may lead past the last one
        else:
            indices = torch.randint(self.size, (count,), device=self.device)
        return indices, self.get(indices)

    def get(self, indices: Tensor) -> dict[str, Tensor]:
        """Return the columns of the transitions at these indices."""
        return {name: column[indices] for name, column in self._columns.items()}

    def importance_weights(self, indices: Tensor, beta: float) -> Tensor:
        """Return the weights that correct for drawing some more often, as a share of the largest.

        Args:
            indices: What was drawn, shape (n,).
            beta: How much is corrected: 0 for nothing, 1 for all of it.
        """
        assert self._tree
        weights = (self.size * self._tree.probabilities(indices)) ** -beta
        return (weights / weights.max()).float()

    def update_priorities(self, indices: Tensor, td_errors: Tensor) -> None:
        """Set the priorities of transitions from their temporal-difference errors, shape (n,) each."""
        assert self._tree
        priorities = (td_errors.abs().double() + 1e-6) ** self.alpha  # none is 0, or it would never be drawn again
        self._max_priority = torch.maximum(self._max_priority, priorities.max())
        self._tree.update(indices, priorities)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the content as plain tensors."""
        state = {name: column[: self.size].clone() for name, column in self._columns.items()}
        state["/next"] = torch.tensor(self._next)
        if self._tree:
            state["/priorities"] = self._tree.leaves[: self.size].clone()
            state["/highest"] = self._max_priority
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the content of another, empty buffer's ``state_dict``, which has the same capacity."""
        columns = {name: column.to(self.device) for name, column in state.items() if not name.startswith("/")}
        if columns:
            self.add(columns)
            self._next = int(state["/next"])
        if self._tree and "/priorities" in state:
            self._max_priority = state["/highest"].to(self.device)
            self._tree.update(torch.arange(self.size, device=self.device), state["/priorities"].to(self.device))


class SumTree:
    """Draws indices in proportion to their priorities, a whole batch at a time.

    A binary tree in one tensor: node 1 is the root, 2i and 2i + 1 are the children of i, and each holds the sum of its
    children. Drawing walks down and an update up, both one level at a time for all indices at once.

    Args:
        capacity: Number of indices.
        device: Where the tree is kept.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.depth = max(1, (capacity - 1).bit_length())
        self.first_leaf: int = 2**self.depth
        # In float64: sums of very different priorities lose the small ones in float32.
        self.tree = torch.zeros(2 * self.first_leaf, dtype=torch.float64, device=device)

    @property
    def leaves(self) -> Tensor:
        """The priorities."""
        return self.tree[self.first_leaf :]

    def update(self, indices: Tensor, priorities: Tensor) -> None:
        """Set priorities; of an index that is named more than once, one of them counts."""
        nodes = indices + self.first_leaf
        self.tree[nodes] = priorities
        for _ in range(self.depth):
            nodes = nodes // 2
            self.tree[nodes] = self.tree[2 * nodes] + self.tree[2 * nodes + 1]

    def sample(self, count: int) -> Tensor:
        """Draw indices, one from each of ``count`` equal shares of the whole (stratified)."""
        shares = torch.arange(count, dtype=torch.float64, device=self.tree.device)
        rest = (shares + torch.rand_like(shares)) / count * self.tree[1]
        nodes = torch.ones(count, dtype=torch.long, device=self.tree.device)
        for _ in range(self.depth):
            left = self.tree[2 * nodes]
            right = rest >= left
            rest = torch.where(right, rest - left, rest)
            nodes = 2 * nodes + right
        return nodes - self.first_leaf

    def probabilities(self, indices: Tensor) -> Tensor:
        """Return how probable it is to draw each index."""
        return self.leaves[indices] / self.tree[1]
