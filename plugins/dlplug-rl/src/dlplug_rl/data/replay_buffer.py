"""What an agent remembers."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Replay:
    """The latest transitions, in tensors that are allocated once.

    Args:
        capacity: Transitions that are kept.
        priority: How much more often transitions of a larger error are drawn: 0 for all alike, 1 in proportion (α of
            Schaul et al., 2016).
        device: Where they are kept.
    """

    def __init__(self, capacity: int, priority: float, device: torch.device) -> None:
        self.capacity, self.priority, self.device = capacity, priority, device
        self.size = self._next = 0
        self._columns: dict[str, Tensor] = {}
        self._tree = SumTree(capacity, device) if priority else None
        self._highest = torch.ones((), dtype=torch.float64, device=device)

    def add(self, rows: Mapping[str, Tensor]) -> None:
        """Remember transitions, the oldest making way; new ones are as urgent as the most urgent one ever.

        Args:
            rows: Columns of any shape (m, ...), the same ones each time.
        """
        count = len(next(iter(rows.values())))
        if not self._columns:
            self._columns = {
                name: torch.zeros((self.capacity, *column.shape[1:]), dtype=column.dtype, device=self.device)
                for name, column in rows.items()
            }
        places = (self._next + torch.arange(count, device=self.device)) % self.capacity
        for name, column in rows.items():
            self._columns[name][places] = column
        if self._tree:
            self._tree.update(places, self._highest.expand(count))
        self._next = (self._next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def sample(self, count: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Draw transitions, with replacement.

        Returns:
            Their places, shape (count,), and their columns.
        """
        if self._tree:
            places = self._tree.sample(count).clamp_max(self.size - 1)
        else:
            places = torch.randint(self.size, (count,), device=self.device)
        return places, self.rows(places)

    def rows(self, places: Tensor) -> dict[str, Tensor]:
        """Return the columns of the transitions at these places."""
        return {name: column[places] for name, column in self._columns.items()}

    def weights(self, places: Tensor, beta: float) -> Tensor:
        """Return how much each transition should count to undo that some are drawn more often, at most 1."""
        assert self._tree
        weights = (self.size * self._tree.probabilities(places)) ** -beta
        return (weights / weights.max()).float()

    def prioritise(self, places: Tensor, errors: Tensor) -> None:
        """Note how wrong transitions were predicted."""
        assert self._tree
        priorities = (errors.abs().double() + 1e-6) ** self.priority
        self._highest = torch.maximum(self._highest, priorities.max())
        self._tree.update(places, priorities)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that is remembered as plain tensors."""
        state = {name: column[: self.size].clone() for name, column in self._columns.items()}
        state["/next"] = torch.tensor(self._next)
        if self._tree:
            state["/priorities"] = self._tree.leaves[: self.size].clone()
            state["/highest"] = self._highest
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Remember what another replay of the same capacity did."""
        columns = {name: column.to(self.device) for name, column in state.items() if not name.startswith("/")}
        if columns:
            self.add(columns)
            self._next = int(state["/next"])
        if self._tree and "/priorities" in state:
            self._highest = state["/highest"].to(self.device)
            self._tree.update(torch.arange(self.size, device=self.device), state["/priorities"].to(self.device))


class SumTree:
    """Draws places in proportion to their priorities, a whole batch at a time.

    A binary tree in one tensor: node 1 is the root, 2i and 2i + 1 are the children of i, and each holds the sum of its
    children. Drawing walks down and an update up, both one level at a time for all places at once.

    Args:
        places: How many there are.
        device: Where the tree is kept.
    """

    def __init__(self, places: int, device: torch.device) -> None:
        self.levels = max(1, (places - 1).bit_length())
        self.first: int = 2**self.levels  # the first leaf
        self.tree = torch.zeros(2 * self.first, dtype=torch.float64, device=device)

    @property
    def leaves(self) -> Tensor:
        """The priorities."""
        return self.tree[self.first :]

    def update(self, places: Tensor, priorities: Tensor) -> None:
        """Set priorities; of a place that is named more than once, one of them counts."""
        nodes = places + self.first
        self.tree[nodes] = priorities
        for _ in range(self.levels):
            nodes = nodes // 2
            self.tree[nodes] = self.tree[2 * nodes] + self.tree[2 * nodes + 1]

    def sample(self, count: int) -> Tensor:
        """Draw places, one from each of ``count`` equal shares of the whole."""
        shares = torch.arange(count, dtype=torch.float64, device=self.tree.device)
        rest = (shares + torch.rand_like(shares)) / count * self.tree[1]
        nodes = torch.ones(count, dtype=torch.long, device=self.tree.device)
        for _ in range(self.levels):
            left = self.tree[2 * nodes]
            right = rest >= left
            rest = torch.where(right, rest - left, rest)
            nodes = 2 * nodes + right
        return nodes - self.first

    def probabilities(self, places: Tensor) -> Tensor:
        """Return how probable it is to draw each place."""
        probabilities: Tensor = self.tree[places + self.first] / self.tree[1]
        return probabilities
