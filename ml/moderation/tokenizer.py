"""The WordPiece tokenizer that every learned tier of moderation reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

PAD: Final = 0  # id of [PAD]; padding is always zero


class WordPiece:
    """Text to token ids, [CLS] first and [SEP] last, cut to a length."""

    def __init__(self, definition: str) -> None:
        """`definition` is the JSON text of a `tokenizers` tokenizer.

        Raises ValueError if it lacks the special tokens that the models rely on.
        """
        self._tokenizer = Tokenizer.from_str(definition)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.sha256 = hashlib.sha256(definition.encode()).hexdigest()
        self.unknown = self._special("[UNK]")
        self._separator = self._special("[SEP]")
        vocabulary = self._tokenizer.get_vocab()
        self.continuing = frozenset(n for piece, n in vocabulary.items() if piece[:2] == "##")
        if self._special("[PAD]") != PAD:
            raise ValueError(f"tokenizer: [PAD] must have id {PAD}")

    @classmethod
    def read(cls, path: Path) -> WordPiece:
        return cls(path.read_text(encoding="utf-8"))

    @property
    def size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, whole; texts hold no lone surrogates."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def cut(self, ids: list[int], limit: int) -> list[int]:
        """`ids` in at most `limit` tokens (>= 2), still ending in [SEP]."""
        return ids if len(ids) <= limit else [*ids[: limit - 1], self._separator]

    def unknown_share(self, ids: Sequence[int]) -> float:
        """Share of the words in `ids` that the vocabulary does not hold whole, 0..1.

        Pieces spell almost every word, so that [UNK] alone would tell of very few.
        """
        words = broken = 0
        whole = False
        for piece in ids[1:-1]:  # without [CLS] and [SEP]
            if piece not in self.continuing:
                words += 1
                whole = piece != self.unknown
                broken += not whole
            elif whole:
                broken += 1
                whole = False
        return broken / words if words else 0.0

    def _special(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"tokenizer: {token} is missing from its vocabulary")
        return int(found)
