"""What is sealed opens only here, only under its own binding, and is nowhere to be read."""

from base64 import b64decode, b64encode
from dataclasses import replace
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.outside.vault import Binding, Vault, VaultError
from service.secret_keys import SecretKey

OLD = SecretKey("old", b"o" * 32)
NEW = SecretKey("new", b"n" * 32)
VALUE = "sk-live-7f3a"
BOUND = Binding(user_id=UUID(int=1), name="KEY", hosts=("api.example.com", "*.example.org"))


def test_a_value_opens_under_its_binding() -> None:
    sealed = Vault([NEW]).seal(VALUE, BOUND)
    assert Vault([NEW]).open(sealed, replace(BOUND)) == VALUE
    assert sealed.startswith("new:")
    assert VALUE not in sealed


def test_the_same_value_is_never_sealed_the_same() -> None:
    vault = Vault([NEW])
    assert len({vault.seal(VALUE, BOUND) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "other",
    [
        replace(BOUND, user_id=UUID(int=2)),
        replace(BOUND, name="KEY2"),
        replace(BOUND, hosts=("evil.example",)),
        replace(BOUND, hosts=(*BOUND.hosts, "evil.example")),
        replace(BOUND, hosts=BOUND.hosts[:1]),
        replace(BOUND, hosts=("api.example.com,*.example.org",)),
        replace(BOUND, hosts=()),
    ],
    ids=str,
)
def test_a_row_that_was_moved_does_not_open(other: Binding) -> None:
    vault = Vault([NEW])
    with pytest.raises(VaultError, match="changed after it was sealed"):
        vault.open(vault.seal(VALUE, BOUND), other)


def test_every_bit_of_it_counts() -> None:
    vault = Vault([NEW])
    key_id, _, encoded = vault.seal(VALUE, BOUND).partition(":")
    raw = b64decode(encoded)
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(VaultError):
            vault.open(f"{key_id}:{b64encode(changed).decode()}", BOUND)
    for length in range(len(raw)):
        with pytest.raises(VaultError):
            vault.open(f"{key_id}:{b64encode(raw[:length]).decode()}", BOUND)


@pytest.mark.parametrize("sealed", ["", ":", "new", "new:", "new:é", "new:====", "old:AAAA", "\0", "new:" + "A" * 99])
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    with pytest.raises(VaultError):
        Vault([NEW]).open(sealed, BOUND)


def test_keys_are_rotated_the_first_seals_and_all_open() -> None:
    before = Vault([OLD]).seal(VALUE, BOUND)
    rotated = Vault([NEW, OLD])
    assert rotated.open(before, BOUND) == VALUE
    assert not rotated.is_current(before)
    after = rotated.seal(VALUE, BOUND)
    assert rotated.is_current(after)
    assert Vault([NEW]).open(after, BOUND) == VALUE
    with pytest.raises(VaultError, match="a key that this host does not have"):
        Vault([NEW]).open(before, BOUND)


def test_a_key_id_is_not_enough_to_open() -> None:
    with pytest.raises(VaultError):
        Vault([SecretKey("new", b"x" * 32)]).open(Vault([NEW]).seal(VALUE, BOUND), BOUND)


def test_nothing_of_a_value_or_a_key_is_shown() -> None:
    vault = Vault([NEW])
    sealed = vault.seal(VALUE, BOUND)
    with pytest.raises(VaultError) as refused:
        vault.open(sealed, replace(BOUND, name="OTHER"))
    shown = repr([vault, BOUND, refused.value, refused.value.__cause__, vars(vault)])
    assert VALUE not in shown
    assert "n" * 8 not in shown


def test_the_key_that_seals_is_not_the_one_that_signs() -> None:
    """One secret serves both: what is made under it as it is, as a signature is, must be of no use here."""
    nonce = bytes(12)
    raw = nonce + AESGCM(NEW.secret).encrypt(nonce, VALUE.encode(), BOUND.associated_data())
    with pytest.raises(VaultError):
        Vault([NEW]).open(f"new:{b64encode(raw).decode()}", BOUND)


def test_a_vault_needs_a_key() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Vault([])
