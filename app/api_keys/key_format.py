"""Format of an API key, and the digest that is stored of it.

    psk_ {id: 12} _ {secret: 43} {checksum: 6}          the parts are in base 62

The id is public; the secret has 256 random bits; the checksum is the CRC-32 of all before it, as
GitHub's tokens have one: a mistyped or truncated key is recognised without looking any key up.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

BASE_62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_DIGITS = 12
SECRET_BITS = 256
SECRET_DIGITS = 43  # 62**43 > 2**256
CHECKSUM_DIGITS = 6  # 62**6 > 2**32

_KEY = re.compile(
    rf"psk_([0-9A-Za-z]{{{ID_DIGITS}}})_[0-9A-Za-z]{{{SECRET_DIGITS + CHECKSUM_DIGITS}}}"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its holder has it. text: the whole key, with the secret."""

    id: str
    text: str = field(repr=False)


def new_key() -> ApiKey:
    """Make a random key."""
    key_id = "".join(secrets.choice(BASE_62) for _ in range(ID_DIGITS))
    secret = _digits(secrets.randbits(SECRET_BITS), SECRET_DIGITS)
    unchecked = f"psk_{key_id}_{secret}"
    return ApiKey(key_id, unchecked + _checksum(unchecked))


def key_id_of(text: str) -> str | None:
    """The id in a well-formed key; None if it is not one."""
    found = _KEY.fullmatch(text)
    if found is None or _checksum(text[:-CHECKSUM_DIGITS]) != text[-CHECKSUM_DIGITS:]:
        return None
    return found[1]


def digest(text: str, pepper: str) -> str:
    """HMAC-SHA-256 of the whole key, in hex. A fast hash is enough: 256 bits cannot be guessed."""
    return hmac.digest(pepper.encode(), text.encode(), "sha256").hex()


def _checksum(text: str) -> str:
    return _digits(zlib.crc32(text.encode()), CHECKSUM_DIGITS)


def _digits(number: int, count: int) -> str:
    digits = []
    for _ in range(count):
        number, digit = divmod(number, len(BASE_62))
        digits.append(BASE_62[digit])
    return "".join(reversed(digits))
