"""Limits for a pickle that is about to be read: a small file can demand any amount of memory."""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

_STORES = {"PUT", "BINPUT", "LONG_BINPUT"}


def check_opcodes(stream: BinaryIO, most: int) -> None:
    """Read a pickle's instructions without executing them, then rewind the stream.

    Parameters
    ----------
    stream : file
        At the start of a pickle; seekable.
    most : int
        Largest number of instructions that is accepted.

    Raises
    ------
    ValueError
        The pickle has more instructions or is damaged, or it stores an object under a number
        larger than its count of instructions: Python would reserve that many slots.
    """
    start = stream.tell()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= most:
            raise ValueError(f"the pickle has more than {most:,} instructions")
        if opcode.name in _STORES and isinstance(argument, int) and argument > count:
            raise ValueError(f"the pickle stores under {argument:,} after {count:,} instructions")
    stream.seek(start)


class Budget:
    """Limit of what all calls of one pickle may create, so that few bytes cannot demand many.

    Parameters
    ----------
    most : int
        Elements, characters or bytes in all.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, count: int) -> None:
        """Subtract `count`; raise a ValueError if the budget is used up."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the pickle expands to more than its limit")

    def limit(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """Return `make` with the lengths of its arguments charged to the budget."""

        def limited(*arguments: Any) -> Any:
            self.spend(sum(len(one) for one in arguments if hasattr(one, "__len__")))
            return make(*arguments)

        return limited
