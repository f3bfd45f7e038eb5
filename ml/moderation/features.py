"""Text features that every tier of moderation reads, in training and in serving alike.

Their fingerprint covers configuration and behaviour, so that a model never gets other features than
it was trained with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ml.moderation.normalise import MAX_CHARS, normalise
from ml.moderation.tokenizer import WordPiece

MAX_TOKENS: Final = 256  # positions of the encoder
MIN_TOKENS: Final = 3  # [CLS], one piece, [SEP]

# Odd on purpose: each line exercises one branch of normalising or tokenising.
_PROBES: Final = (
    "",
    "plain words, in lower case.",
    "UPPER case and CamelCase #HashTag",
    "&amp;#8220;twice escaped&amp;#8221; &lt;b&gt; &#128514;&#128514; &nbsp;",
    "@some_user RT [USER]: see https://example.com/a?b=c and [URL]",
    "noooooo!!!!!! waaaay",
    "\U0001f602\U0001f602\U0001f602 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",
    "\U0001f1ee\U0001f1f1 \U0001f44d\U0001f3ff F\U0001f170\ufe0fGS \U0001f4b2hit",
    "n\u0456ce mixed w\u043erds, \u043f\u0440\u0438\u0432\u0435\u0442, \u03ba\u03b1\u03bb\u03ae",
    "caf\u00e9 cafe\u0301 \ufb01ne \uff46\uff55\uff4c\uff4c \U0001d591\U0001d586",
    "zero\u200bwidth\u200d joined\ufeff \u202eright\u202c soft\u00adhyphen",
    "\ud800 lone \udfff surrogates \x00\x07 controls\t\r\n folded",
    "\u4f60\u597d \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947",
    "1337 5p34k $h1t a$$ f.u.c.k f*ck",
    "word " * 400,
)


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """A normalised text and its token ids, [CLS] to [SEP], at most `limit` of them."""

    text: str
    ids: list[int]
    limit: int

    @property
    def cost(self) -> int:
        return len(self.ids)


class Featuriser:
    """Turns texts into features with one tokenizer."""

    def __init__(self, tokenizer: WordPiece) -> None:
        self.tokenizer = tokenizer

    def __call__(self, texts: Sequence[str], limits: Sequence[int]) -> list[TextFeatures]:
        """Features per text, cut to its limit of tokens, itself cut to MIN_..MAX_TOKENS."""
        plain = [normalise(text) for text in texts]
        bounds = [max(MIN_TOKENS, min(limit, MAX_TOKENS)) for limit in limits]
        return [
            TextFeatures(text, self.tokenizer.cut(ids, bound), bound)
            for text, ids, bound in zip(plain, self.tokenizer.encode(plain), bounds, strict=True)
        ]

    def fingerprint(self) -> str:
        """SHA-256 over configuration and over the features of fixed probes, 16 hex digits."""
        probes = self(_PROBES, [MAX_TOKENS] * len(_PROBES))
        behaviour = [[features.text, features.ids] for features in probes]
        config = [MAX_TOKENS, MIN_TOKENS, MAX_CHARS, self.tokenizer.sha256]
        return hashlib.sha256(json.dumps([config, behaviour]).encode()).hexdigest()[:16]
