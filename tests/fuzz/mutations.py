"""Damage to the bytes of a file, each kind a function of a random generator and the bytes alone."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

Mutation = Callable[[random.Random, bytes], bytes]

EXTREMES = (
    0,
    1,
    2**7 - 1,
    2**7,
    2**8 - 1,
    2**15 - 1,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)

TEXTS = (
    "",
    "\x00",
    "../../x",
    "\u2028",
    "\x1b[31m",
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    "9" * 40,
    "ä" * 3000,
    "[final]",
    "~",
    "{}",
)


def mutate(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Damage `content` in one to four ways; `others` are files of the same kind, of which parts may be taken."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        kind = rng.choice(BINARY)
        content = splice(rng, content, rng.choice(others)) if kind is None else kind(rng, content)
    return content


def mutate_text(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Damage a text file: its values, its lines, or its bytes."""
    if rng.random() < 0.3:
        return mutate(rng, content, others)
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(TEXTUAL)(rng, content)
    return content


def mutate_json(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Damage a JSON file: a value in it, or as any text."""
    if rng.random() < 0.4:
        return mutate_text(rng, content, others)
    try:
        value = json.loads(content)
    except ValueError:
        return mutate_text(rng, content, others)
    for _ in range(rng.choice((1, 1, 2))):
        value = _with_a_value_replaced(rng, value)
    return json.dumps(value).encode(errors="surrogatepass")


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 3, 16)) if changed else 0):
        changed[_place(rng, len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.choice((0, 1, rng.randrange(len(content) + 1), max(0, len(content) - rng.randrange(64))))]


def zero(rng: random.Random, content: bytes) -> bytes:
    start = _place(rng, len(content))
    length = min(len(content) - start, rng.choice((1, 4, 16, 256, len(content))))
    return content[:start] + bytes(length) + content[start + length :]


def remove(rng: random.Random, content: bytes) -> bytes:
    start = _place(rng, len(content))
    return content[:start] + content[start + rng.choice((1, 2, 8, 100, 1000)) :]


def repeat(rng: random.Random, content: bytes) -> bytes:
    start = _place(rng, len(content))
    part = content[start : start + rng.choice((1, 4, 32, 500))]
    return content[:start] + part * rng.choice((2, 3, 50)) + content[start + len(part) :]


def insert(rng: random.Random, content: bytes) -> bytes:
    start = _place(rng, len(content))
    return content[:start] + rng.randbytes(rng.choice((1, 4, 64))) + content[start:]


def extreme_integer(rng: random.Random, content: bytes) -> bytes:
    start, width = _place(rng, len(content)), rng.choice((1, 2, 4, 8))
    number = (rng.choice(EXTREMES) & (2 ** (8 * width) - 1)).to_bytes(width, rng.choice(("little", "big")))
    return content[:start] + number + content[start + width :]


def splice(rng: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: _place(rng, len(content))] + other[_place(rng, len(other)) :]


def extreme_number(rng: random.Random, content: bytes) -> bytes:
    """Replace a decimal number in the text, as headers of model files and YAML have them."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:20000]))
    if not found:
        return content
    match = rng.choice(found)
    number = rng.choice(
        (b"0", b"-1", b"1e21", b"1e400", b"0.1", b"010", b"99999999999999999999", b"4294967296", b".nan")
    )
    return content[: match.start()] + number + content[match.end() :]


def other_text(rng: random.Random, content: bytes) -> bytes:
    """Replace a word."""
    found = list(re.finditer(rb"[A-Za-z_]{2,}", content[:20000]))
    if not found:
        return content
    match = rng.choice(found)
    word = rng.choice(found).group() if rng.random() < 0.5 else rng.choice(TEXTS).encode()
    return content[: match.start()] + word + content[match.end() :]


def lines(rng: random.Random, content: bytes) -> bytes:
    """Remove, repeat, indent or swap lines."""
    parts = content.splitlines(keepends=True)
    if not parts:
        return content
    a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(4):
        case 0:
            del parts[a]
        case 1:
            parts.insert(b, parts[a])
        case 2:
            parts[a] = b" " * rng.choice((1, 2, 4)) + parts[a]
        case _:
            parts[a], parts[b] = parts[b], parts[a]
    return b"".join(parts)


def yaml_words(rng: random.Random, content: bytes) -> bytes:
    """Insert what YAML gives a meaning to: anchors, aliases, tags, documents, flow style."""
    words = (
        b"&a ",
        b"*a",
        b"!!python/object:os.system ",
        b"!!binary ",
        b"---\n",
        b"<<: *a\n",
        b"[" * 500,
        b"{a: ",
        b"? ",
        b"\t",
        b"|\n",
        b"%YAML 9.9\n",
    )
    start = _place(rng, len(content))
    return content[:start] + rng.choice(words) + content[start:]


BINARY: tuple[Mutation | None, ...] = (
    flip_bits,
    flip_bits,
    truncate,
    zero,
    remove,
    repeat,
    insert,
    extreme_integer,
    extreme_integer,
    extreme_number,
    None,
)
TEXTUAL: tuple[Mutation, ...] = (extreme_number, extreme_number, other_text, other_text, lines, yaml_words)


def _place(rng: random.Random, length: int) -> int:
    """An offset, half of the time among the first bytes, where headers are."""
    if length < 2:
        return 0
    return rng.randrange(min(length, rng.choice((64, 512, length, length))))


def _with_a_value_replaced(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return value | {rng.choice(TEXTS): value[key]}
            case _:
                return value | {key: _with_a_value_replaced(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], _with_a_value_replaced(rng, value[place]), *value[place + 1 :]]
    return _strange(rng)


def _strange(rng: random.Random) -> Any:
    nested: Any = 0
    for _ in range(rng.choice((1, 3, 400))):
        nested = [nested]
    return rng.choice(
        (
            None,
            True,
            [],
            {},
            -1,
            0,
            0.5,
            10**30,
            2**63,
            -(2**31),
            float("nan"),
            float("inf"),
            nested,
            rng.choice(TEXTS),
            {"a": nested},
            list(range(200)),
        )
    )
