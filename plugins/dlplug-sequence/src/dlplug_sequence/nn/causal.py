"""A layer of a transformer that reads a text from left to right."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention


class CausalLayer(nn.TransformerEncoderLayer):
    """PyTorch's layer with layer norms before each part, attending to the past alone.

    The weights, their names and their initial values are PyTorch's.

    Args:
        d_model: Embedding dimension.
        num_heads: Attention heads.
        dropout: Dropout probability.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__(d_model, num_heads, 4 * d_model, dropout, "gelu", batch_first=True, norm_first=True)

    def forward(  # type: ignore[override]
        self, x: Tensor, cache: Tensor | None = None, start: int = 0, is_causal: bool = True
    ) -> Tensor:
        """Return the tokens' new embeddings, shape (n, time, d_model).

        Args:
            x: Shape (n, time, d_model).
            cache: Keys and values of the tokens before, shape (2, n, num_heads, positions, d_model / num_heads); those
                of these tokens are written into it.
            start: Position of the first token, which is how many are before it.
            is_causal: Whether a token may attend to itself and those before it alone, or to all.
        """
        attention, time = self.self_attn, x.shape[1]
        projected = linear(self.norm1(x), attention.in_proj_weight, attention.in_proj_bias)
        queries, keys, values = (
            part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
            for part in projected.chunk(3, dim=2)
        )
        mask = None
        if cache is not None:
            cache[0, :, :, start : start + time], cache[1, :, :, start : start + time] = keys, values
            keys, values = cache[:, :, :, : start + time]
            if start and time > 1:  # a single token may attend to all before it
                mask = torch.ones(time, start + time, dtype=torch.bool, device=x.device).tril(start)
        dropout = attention.dropout if self.training else 0.0
        is_causal = is_causal and mask is None and time > 1
        attended = scaled_dot_product_attention(queries, keys, values, mask, dropout, is_causal)
        x = x + self.dropout1(attention.out_proj(attended.transpose(1, 2).flatten(2)))  # the heads joined again
        return x + self._ff_block(self.norm2(x))
