"""How fast stored keys are re-encrypted, compared to Fernet alone on the same ciphertexts.

    python -m bench.rotation [--keys 10000] [--runs 5] [--url postgresql+psycopg://…]

Each run rotates from one key to the other and measures both alternately. Without a URL it makes an SQLite store in a
temporary folder. A PostgreSQL database must be empty or a registry's without models, and is left with what was made.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from uuid import uuid4

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import insert, select

from registry import Actor, Registry, Settings
from registry.keys.keyring import Keyring, new_key
from registry.keys.vault import Vault
from registry.store.rows import key_scope
from registry.store.store import Store, utcnow
from registry.store.tables import ModelRow

BENCH = Actor("bench", "admin", "bench")
CONFIG = {"context_window": 8192, "max_output_tokens": 1024}


def fill(store: Store, keyring: Keyring, number: int) -> dict[str, str]:
    """Save this many models, each with a different key, bypassing the library; return their ids and keys."""
    now, keys, rows = utcnow(), {}, []
    for each in range(number):
        model = {"id": str(uuid4()), "type": "generation", "provider": "openai", "api_endpoint": None}
        key = keys[model["id"]] = f"sk-bench-{each}"
        sealed = keyring.seal(SecretStr(key), key_scope(ModelRow(**model)))
        model |= {"name": f"Model {each}", "name_key": f"model {each}", "model_id": "gpt-4o", "status": "active"}
        model |= {"api_key": sealed.ciphertext, "api_key_id": sealed.key_id, "connection": {}, "config": CONFIG}
        rows.append({**model, "version": 1, "created_at": now, "updated_at": now})
    with store.engine.begin() as connection:
        connection.execute(insert(ModelRow), rows)
    return keys


def bare(store: Store, old: str, new: str) -> float:
    """Seconds that decrypting and encrypting all stored keys takes, without any store."""
    with store.read() as session:
        ciphertexts = [each.encode() for each in session.scalars(select(ModelRow.api_key)) if each]
    before, after = Fernet(old), Fernet(new)
    begun = time.perf_counter()
    for ciphertext in ciphertexts:
        after.encrypt(before.decrypt(ciphertext))
    return time.perf_counter() - begun


def rotation(url: str, old: str, new: str) -> float:
    """Seconds that rotation takes, including the audit entry."""
    with Registry.connect(Settings(database_url=url, fernet_keys=[new, old])) as registry:
        begun = time.perf_counter()
        registry.rotate_keys(actor=BENCH)
        return time.perf_counter() - begun


def main() -> None:
    """Measure both alternately and print their medians and ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="the store; by default an SQLite file in a temporary folder")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'rotation.db'}"
        old, new = new_key(), new_key()
        store = Store(url)
        store.setup()
        Vault(Keyring([old])).adopt(store)
        fill(store, Keyring([old]), options.keys)
        found = []
        for _ in range(options.runs):
            found.append((bare(store, old, new), rotation(url, old, new)))
            old, new = new, old
        store.close()
    floor, taken = (options.keys / median(times) for times in zip(*found, strict=True))
    ratios = [alone / whole for alone, whole in found]
    print(f"Fernet alone: {floor:,.0f} keys/s, rotation: {taken:,.0f} keys/s")
    print(f"ratio: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {options.runs} runs)")


if __name__ == "__main__":
    main()
