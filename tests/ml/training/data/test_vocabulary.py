"""A vocabulary cut down to what the data uses."""

from __future__ import annotations

import pytest

from ml.moderation.pipeline import pipeline
from ml.moderation.tokenizer import WordPiece
from ml.training.data.vocabulary import trim


@pytest.fixture(scope="module")
def definition() -> str:
    return pipeline.artifacts.file("tokenizer.json").read_text(encoding="utf-8")


def test_tokens_that_the_texts_use_are_kept_and_rare_ones_spelled_out(definition: str) -> None:
    full = WordPiece(definition)
    small, kept = trim(definition, ["hello wonderful world"] * 2, common=0, seen=2)
    tokenizer = WordPiece(small)
    assert tokenizer.size == len(kept) < full.size
    assert len(tokenizer.encode(["hello wonderful world"])[0]) == 5
    (spelled,) = tokenizer.encode(["antidisestablishment"])
    assert tokenizer.unknown not in spelled
    assert len(spelled) > len(full.encode(["antidisestablishment"])[0])


def test_each_kept_token_knows_its_old_id(definition: str) -> None:
    small, kept = trim(definition, ["hello"] * 2, common=0, seen=2)
    (new,), (old,) = WordPiece(small).encode(["hello"]), WordPiece(definition).encode(["hello"])
    assert [kept[i] for i in new] == old


def test_names_of_emoji_are_kept_though_no_text_has_them(definition: str) -> None:
    tokenizer = WordPiece(trim(definition, [], common=0, seen=1)[0])
    (ids,) = tokenizer.encode(["menorah rainbow dark skin tone"])
    assert tokenizer.unknown not in ids
    assert len(ids) == len(WordPiece(definition).encode(["menorah rainbow dark skin tone"])[0])
