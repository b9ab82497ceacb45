"""YAML files: the scalars of YAML 1.2, mistakes with their position, bounded work, and a writer that reads back."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nitido.base.yaml_files import MOST_BYTES, MOST_LEVELS, YamlError, parse_yaml, read_yaml, to_yaml


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("010", 10),
        ("-011", -11),
        ("0o17", 15),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("~", None),
        ("null", None),
        ("", None),
        ("1e-3", 0.001),
        ("1e5", 100000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1.5E+2", 150.0),
        ("1.5.2", "1.5.2"),
        ("2001-12-14", "2001-12-14"),
        ("'010'", "010"),
        ('"true"', "true"),
        ("١٢", "١٢"),
        ("１２", "１２"),
    ],
)
def test_scalars_follow_yaml_1_2(word: str, value: object) -> None:
    read = parse_yaml(f"key: {word}\n".encode(), "f.yaml")["key"]
    assert read == value
    assert type(read) is type(value)


LAUGHS = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n".encode() for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("content", "line", "column", "message"),
    [
        (b"a: 1\nb: {c: 1}\na: 2\n", 3, 1, "duplicate key 'a', first used in line 1"),
        (b"a:\n  b: 1\n  c: 1\n  b: 1\n", 4, 3, "duplicate key 'b', first used in line 2"),
        (b"a: {b: 1, 'b': 2}\n", 1, 11, "duplicate key 'b'"),
        (b"a: !!int 1", 1, 4, "tag"),
        (b"a: !thing {b: 1}", 1, 4, "tag"),
        (b"a: !!python/object/apply:os.system [ls]", 1, 4, "tag"),
        (b"a: 1\n---\nb: 1\n", 2, 1, "second document"),
        (b"%YAML 1.1\n---\na: 1\n", 1, 1, "only YAML 1.2"),
        (b"a: *b", 1, 4, "alias"),
        (b"a: &b [*b]", 1, 8, "alias"),
        (LAUGHS, 5, 23, "more than"),
        (b"a: " + b"[" * 100_000, 1, 3 + MOST_LEVELS, "levels"),
        (b"a: {" * 100_000, 1, 4 * MOST_LEVELS - 3, "levels"),
        (b"1: 2", 1, 1, "a key must be text"),
        (b"? [a]\n: 1", 1, 3, "a key must be text"),
        (b"a: .inf", 1, 4, "infinite"),
        (b"a: .nan", 1, 4, "NaN"),
        (b"a: 1e999", 1, 4, "too large"),
        (b"a: " + b"9" * 5000, 1, 4, "more than 100 characters"),
        (b"a: 1\nb: x\0y\n", 2, 5, "U+0000"),
        (b'a: "x\\0y"\n', 1, 4, "U+0000"),
        (b"a: 1\n\tb: 1\n", 2, 1, "\\t"),
        ("a: 1\nb: x\ufeffy\n".encode(), 2, 5, "U+FEFF"),
        ("a: x\u2028b: 1".encode(), 1, 5, "U+2028"),
        (b"a: \x1b[31m", 1, 4, "U+001B"),
        (b"a: 1\nb: \xff\n", 2, 4, "0xff is not UTF-8"),
        ("a: 1".encode("utf-16"), 1, 1, "UTF-16"),
        ("a: 1".encode("utf-16-le"), 1, 2, "U+0000"),
        (b"a: [1,\n", 2, 1, "expected"),
        (b"a: 'x\n", 2, 1, "unexpected end"),
        (b'a: "\\UFFFFFFFF"', 1, 1, "escape"),
        (b"a: 1\n# " + b"x" * MOST_BYTES, 1, 1, "larger than"),
    ],
)
def test_a_mistake_is_one_line_with_its_position(content: bytes, line: int, column: int, message: str) -> None:
    began = time.monotonic()
    with pytest.raises(YamlError) as caught:
        parse_yaml(content, "f.yaml")
    assert str(caught.value).startswith(f"f.yaml: not valid YAML, line {line}, column {column}: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("content", "found"), [(b"", "nothing"), (b"- 1", "a list"), (b"word", "'word'")])
def test_a_file_holds_a_mapping(content: bytes, found: str) -> None:
    with pytest.raises(YamlError, match=f"expected a mapping of keys, found {found}"):
        parse_yaml(content, "f.yaml")


def test_aliases_and_a_byte_order_mark_are_read() -> None:
    content = b"\xef\xbb\xbfa: &numbers [1, 2]\nb: *numbers\nc: {d: *numbers}\n"
    assert parse_yaml(content, "f.yaml") == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml", tmp_path / ("x" * 300), Path("a\0b.yaml")):
        with pytest.raises(YamlError, match="cannot be read"):
            read_yaml(path)


TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0"), max_size=30),
    st.text("0123456789:_.eE+-xo ~#,[]{}&*!|>%@`'\"\n\t", max_size=8),
    st.sampled_from(["010", "1:30", "yes", "null", "~", "1e5", "1e-3", " x", "x ", "#", "0o17", "0x1F", ".inf", "---"]),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)


def _typed(value: Any) -> Any:
    """The value with the type of each of its parts: 1, 1.0 and True are equal for Python."""
    if isinstance(value, dict):
        return [(key, _typed(part)) for key, part in value.items()]
    return [_typed(part) for part in value] if isinstance(value, list) else (type(value), repr(value))


@given(values=st.dictionaries(TEXTS, VALUES, max_size=5))
@example(values={"a": "\u2028", "b": "\ufeff", "c": "\x85", "d": "x" * 300, "e": "word " * 60, "f": "\udce9"})
@example(values={"010": 1e22, "1:30": 5e-324, "true": -0.0, "=": "<<", "<<": "="})
def test_written_values_read_back_equal(values: dict[str, Any]) -> None:
    written = to_yaml(values).encode("utf-8")
    assert _typed(parse_yaml(written, "f.yaml")) == _typed(values)


@given(values=st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.integers(), st.floats(-1e9, 1e9))))
def test_written_yaml_has_the_same_meaning_for_other_readers(values: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(values)) == values
