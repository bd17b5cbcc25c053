"""Read protocol buffers without their schema: the numbers and contents of a message's fields.

Nothing is copied: a field of a `memoryview` of a mapped file is a view of the same file, so that a
large message, such as a model with its weights, can be looked through without reading it.
"""

from collections.abc import Iterator

Buffer = bytes | memoryview
Value = int | Buffer


def fields(content: Buffer) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a message.

    Yields
    ------
    int
        The field's number.
    int or bytes or memoryview
        A number (fixed-width fields as unsigned whole numbers), or the content of a message, a text
        or a packed list.

    Raises
    ------
    ValueError
        The message is damaged or truncated.
    """
    # Wire types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
    start = 0
    while start < len(content):
        tag, start = varint(content, start)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value, start = varint(content, start)
            yield field, value
        elif wire in (1, 2, 5):
            size, start = varint(content, start) if wire == 2 else ({1: 8, 5: 4}[wire], start)
            part, start = content[start : start + size], start + size
            if start > len(content):
                raise ValueError("a field is longer than its message")
            yield field, part if wire == 2 else int.from_bytes(part, "little")
        else:
            raise ValueError(f"a field has the unknown wire type {wire}")


def message(value: Value) -> Buffer:
    """Return a field that must be a message, a text or a packed list."""
    if isinstance(value, int):
        raise ValueError("there is a number instead of a message")
    return value


def number(value: Value) -> int:
    """Return a field that must be a number."""
    if not isinstance(value, int):
        raise ValueError("there is a message instead of a number")
    return value


def text(value: Value) -> str:
    """Return a field that must be text."""
    return bytes(message(value)).decode()


def varint(content: Buffer, start: int) -> tuple[int, int]:
    """Return a number of 7 bits per byte, lowest first, and the position after it."""
    value = 0
    for place, byte in enumerate(content[start : start + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise ValueError("a number is truncated")
