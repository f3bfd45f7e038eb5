"""Trims a tokenizer's vocabulary to the tokens that a data set uses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import emoji

from ml.moderation.tokenizer import WordPiece

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def trim(definition: str, texts: Sequence[str], common: int, seen: int) -> tuple[str, list[int]]:
    """The tokenizer `definition` with fewer tokens, and each kept token's old id in order.

    Kept: special tokens, single characters (so that any Latin word can still be spelled), the
    `common` first ids (BERT's vocabulary is sorted by frequency), names of emoji, and tokens
    that occur `seen` times or more in `texts`.
    """
    full = WordPiece(definition)
    counts = Counter(i for ids in full.encode(texts) for i in ids)
    named = {i for ids in full.encode(_emoji_names()) for i in ids}
    tokenizer = json.loads(definition)
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    kept = [
        (token, i)
        for token, i in sorted(vocabulary.items(), key=lambda pair: pair[1])
        if _keep(token) and (i < common or counts[i] >= seen or i in named or _single(token))
    ]
    kept = [(t, vocabulary[t]) for t in _SPECIAL] + [k for k in kept if k[0] not in _SPECIAL]
    fresh = {token: n for n, (token, _) in enumerate(kept)}
    return json.dumps(_renumber(tokenizer, fresh), ensure_ascii=False), [i for _, i in kept]


def _emoji_names() -> list[str]:
    return [str(data["en"]).strip(":").replace("_", " ") for data in emoji.EMOJI_DATA.values()]


def _single(token: str) -> bool:
    return len(token.removeprefix("##")) == 1


def _keep(token: str) -> bool:
    return token in _SPECIAL or not (token.startswith("[") and len(token) > 1)


def _renumber(tokenizer: dict[str, object], fresh: dict[str, int]) -> dict[str, object]:
    special = [
        {
            "id": fresh[token],
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in _SPECIAL
    ]
    model = dict(tokenizer["model"]) | {"vocab": fresh}  # type: ignore[call-overload]
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [],
        "special_tokens": {
            token: {"id": token, "ids": [fresh[token]], "tokens": [token]}
            for token in ("[CLS]", "[SEP]")
        },
    }
    return tokenizer | {
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "post_processor": template,
        "model": model,
    }
