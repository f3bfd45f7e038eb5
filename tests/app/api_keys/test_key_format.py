from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api_keys.key_format import BASE_62, digest, key_id_of, new_key


def test_a_key_is_prefix_id_secret_and_checksum() -> None:
    key = new_key()
    prefix, key_id, rest = key.text.split("_")
    assert (prefix, key_id, len(rest)) == ("psk", key.id, 43 + 6)
    assert len(key_id) == 12
    assert set(key_id + rest) <= set(BASE_62)
    assert key_id_of(key.text) == key.id


def test_no_two_keys_share_an_id_or_a_secret() -> None:
    keys = [new_key() for _ in range(1_000)]
    assert len({key.id for key in keys}) == 1_000
    assert len({key.text.split("_")[2][:43] for key in keys}) == 1_000


@given(st.integers(0, 65), st.sampled_from(BASE_62 + "_ .é"))
def test_one_wrong_letter_is_noticed(place: int, letter: str) -> None:
    right = new_key().text
    wrong = right[:place] + letter + right[place + 1 :]
    assert (key_id_of(wrong) is None) == (wrong != right)


@pytest.mark.parametrize("cut", [0, 3, 16, 17, 65])
def test_a_truncated_key_is_not_well_formed(cut: int) -> None:
    assert key_id_of(new_key().text[:cut]) is None


def test_nothing_may_precede_or_follow_a_key() -> None:
    right = new_key().text
    assert [key_id_of(text) for text in (right + "\n", " " + right, right + "0")] == [None] * 3


@given(st.text(max_size=80))
def test_any_other_text_is_not_a_key(text: str) -> None:
    assert key_id_of(text) is None


def test_the_digest_is_an_hmac_of_the_whole_key_and_needs_the_pepper() -> None:
    text = new_key().text
    reference = hmac.new(b"pepper", text.encode(), hashlib.sha256).hexdigest()
    assert digest(text, "pepper") == reference
    assert digest(text, "salt") != reference


def test_the_repr_of_a_key_hides_its_text() -> None:
    key = new_key()
    assert key.text not in repr(key)
    assert key.id in repr(key)
