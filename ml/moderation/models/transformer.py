"""The transformer encoder (BERT's architecture, six layers), the first tier of the cascade.

Devlin et al. 2019, "BERT"; starting weights all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM").
Token types are folded into the positions, since one text needs no second segment.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812 (the field's usual name)
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Sizes of the encoder; `dropout` acts in training only."""

    vocab: int
    classes: int
    width: int = 384
    layers: int = 6
    heads: int = 12
    hidden: int = 1536
    positions: int = 256
    dropout: float = 0.1


class Encoder(nn.Module):
    """Token ids (B, T) and a mask (B, T), True where a token is, to logits (B, C)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab, config.width)
        self.positions = nn.Embedding(config.positions, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.classify(self.encode(ids, mask), mask)

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, T) -> (B, T, width)."""
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]  # (B, T, D)
        x = self.dropout(self.norm(x))
        attend = None if bool(mask.all()) else mask[:, None, None, :]  # (B, 1, 1, T)
        for layer in self.layers:
            x = layer(x, attend)
        encoded: Tensor = x
        return encoded

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, C), by the mean over tokens."""
        weight = mask.unsqueeze(-1).to(x.dtype)  # (B, T, 1)
        mean = (x * weight).sum(1) / weight.sum(1)  # (B, D)
        logits: Tensor = self.head(self.dropout(mean))
        return logits


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward net, each added to its input and normalised after."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm1 = nn.LayerNorm(config.width, eps=1e-12)
        self.up = nn.Linear(config.width, config.hidden)
        self.down = nn.Linear(config.hidden, config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, attend: Tensor | None) -> Tensor:
        x = self.norm1(x + self.dropout(self.attention(x, attend)))  # (B, T, D)
        y = self.down(F.gelu(self.up(x)))  # (B, T, hidden) -> (B, T, D)
        normed: Tensor = self.norm2(x + self.dropout(y))
        return normed

    def attention(self, x: Tensor, attend: Tensor | None) -> Tensor:
        b, t, d = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, D/H)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=attend)
        mixed: Tensor = self.out(y.transpose(1, 2).reshape(b, t, d))
        return mixed
