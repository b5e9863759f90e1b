import pytest
import torch

from dlplug_sequence.nn.recurrent import Recurrent


def test_cells_start_as_asked():
    assert torch.equal(Recurrent("irnn", 3, 5).net.weight_hh_l0, torch.eye(5))
    gate = Recurrent("lstm", 3, 5, init="orthogonal").net.weight_hh_l0[5:10]
    assert torch.allclose(gate @ gate.T, torch.eye(5), atol=1e-5)
    out, state = Recurrent("gru", 3, 5, num_layers=2, bidirectional=True)(torch.randn(2, 7, 3))
    assert out.shape == (2, 7, 10)
    assert state[0].shape == (4, 2, 5)
    with pytest.raises(ValueError, match="cell rnn"):
        Recurrent("lstm", 3, 5, activation="relu")
