import pytest
import torch

from dlplug_rl.data.replay_buffer import ReplayBuffer, SumTree

CPU = torch.device("cpu")


def test_sum_tree_draws_in_proportion():
    torch.manual_seed(0)
    tree = SumTree(5, CPU)
    priorities = torch.tensor([1.0, 0.0, 3.0, 5.0, 1.0]).double()
    tree.update(torch.tensor([0, 1, 2, 3, 4, 4]), torch.cat([priorities[:4], torch.tensor([1.0, 1.0]).double()]))
    assert tree.tree[1] == 10
    drawn = tree.sample(10_000).bincount(minlength=5) / 10_000
    assert torch.allclose(drawn, priorities.float() / 10, atol=1e-3)
    assert torch.equal(tree.probabilities(torch.tensor([3])), torch.tensor([0.5]).double())


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_replay_buffer_forgets_the_oldest_and_survives_a_checkpoint(alpha):
    buffer = ReplayBuffer(5, alpha, CPU)
    for first in (0, 3, 6):
        buffer.add({"x": torch.arange(first, first + 3)})
    if alpha:
        buffer.update_priorities(torch.tensor([0, 1]), torch.tensor([50.0, 0.0]))
    restored, draws = ReplayBuffer(5, alpha, CPU), []
    restored.load_state_dict(buffer.state_dict())
    for each in (buffer, restored):
        each.add({"x": torch.tensor([9])})
    for each in (buffer, restored):
        torch.manual_seed(0)
        drawn = each.sample(2000)[1]["x"]
        assert set(drawn.tolist()) <= {5, 6, 7, 8, 9}
        draws.append(drawn)
        if alpha:
            assert (drawn == 5).float().mean() > 0.4
            assert buffer.importance_weights(torch.arange(5), 1.0).max() == 1
    assert torch.equal(*draws)
    assert buffer.size == 5
