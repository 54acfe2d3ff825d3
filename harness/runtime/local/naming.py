"""Pod names as Kubernetes makes them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from typing import Any

# Kubernetes leaves out vowels and look-alikes, so that no name spells a word.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
HASH_LENGTH = 9
NAME_LIMIT = 63


def random_suffix(rng: random.Random, length: int = SUFFIX_LENGTH) -> str:
    """Return random characters of the alphabet of generated names."""
    return "".join(rng.choices(ALPHABET, k=length))


def template_hash(template: Mapping[str, Any]) -> str:
    """Return a short name of a pod template's content (the pod-template-hash; the digest is ours)."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:HASH_LENGTH])


def generated_name(prefix: str, rng: random.Random) -> str:
    """Return `prefix-xxxxx`, the prefix cut so that the name keeps Kubernetes' limit."""
    room = NAME_LIMIT - SUFFIX_LENGTH - 1
    return f"{prefix[:room]}-{random_suffix(rng)}"
