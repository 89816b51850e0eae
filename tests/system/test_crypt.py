from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2.low_level import Type, hash_secret
from hypothesis import given, settings
from hypothesis import strategies as st

from ocserv_core.system import crypt

SHA256 = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"  # the published vector of SHA-crypt
ARGON2ID = hash_secret(
    b"secret", b"0123456789abcdef", time_cost=1, memory_cost=64, parallelism=1, hash_len=32, type=Type.ID
).decode()


def test_the_published_vector_of_sha256_crypt() -> None:
    assert crypt.hash_password(b"Hello world!", "$5$saltstring") == SHA256


@pytest.mark.parametrize("setting", ["$1$abcdefgh", "$5$abcdefgh", "$6$abcdefgh", "$y$j75$abcdefgh", "ab"])
def test_what_was_hashed_is_verified(setting: str) -> None:
    stored = crypt.hash_password(b"secret", setting)
    assert (crypt.verify(b"secret", stored), crypt.verify(b"Secret", stored)) == (True, False)


def test_bcrypt_is_verified() -> None:
    stored = crypt.hash_password(b"secret", "$2b$04$abcdefghijklmnopqrstuu")
    assert stored.startswith("$2b$04$")
    assert crypt.verify(b"secret", stored)


def test_argon2id_is_verified() -> None:
    assert (crypt.verify(b"secret", ARGON2ID), crypt.verify(b"Secret", ARGON2ID)) == (True, False)


@pytest.mark.parametrize(
    "stored",
    ["", "!" + SHA256, "*0", "*1", "*", "x", "$5$", "$9$unknown$abc", "$argon2id$broken", "$argon2id$é", "é", "a\0b"],
)
def test_no_password_matches_what_is_no_hash(stored: str) -> None:
    assert not crypt.verify(b"Hello world!", stored)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20).filter(lambda text: not text.startswith("$")), st.binary(max_size=20))
def test_nonsense_never_raises(stored: str, password: bytes) -> None:
    assert crypt.verify(password, stored) in (True, False)


def test_a_password_too_long_for_crypt_gives_a_failure_token() -> None:
    assert crypt.hash_password(b"x" * 513, "$5$abcdefgh") in crypt.FAILURE_TOKENS


def test_a_zero_byte_does_not_cut_a_password() -> None:
    assert crypt.hash_password(b"a\0b", "$5$abcdefgh") in crypt.FAILURE_TOKENS


def test_a_salt_is_made_of_the_random_bytes() -> None:
    assert crypt.gensalt("$5$", bytes(range(16))) == "$5$./0123456789ABCD"


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="16 random bytes"):
        crypt.gensalt("$6$", b"short")


def test_threads_do_not_disturb_each_other() -> None:
    passwords = [b"password-%d" % number for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        hashes = list(pool.map(lambda password: crypt.hash_password(password, "$5$rounds=1000$salt"), passwords))
    assert hashes == [crypt.hash_password(password, "$5$rounds=1000$salt") for password in passwords]
