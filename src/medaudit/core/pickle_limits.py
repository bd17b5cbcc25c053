"""Bounds for a pickle that is about to be read: small files can ask for any amount of memory."""

import pickletools
from collections.abc import Callable
from typing import BinaryIO

_STORES = {"PUT", "BINPUT", "LONG_BINPUT"}


def check_opcodes(stream: BinaryIO, most: int) -> None:
    """Read a pickle's instructions without following them, and go back to where it begins.

    Parameters
    ----------
    stream : file
        At the start of a pickle; seekable.
    most : int
        Instructions that it may have.

    Raises
    ------
    ValueError
        It has more, is damaged, or stores under a number beyond its own instructions: Python would
        reserve as many places.
    """
    start = stream.tell()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= most:
            raise ValueError(f"the pickle has more than {most:,} instructions")
        if opcode.name in _STORES and argument > count:
            raise ValueError(f"the pickle stores under {argument:,} after {count:,} instructions")
    stream.seek(start)


class Budget:
    """Counts what the calls of one pickle make, so that few bytes cannot ask for many.

    Parameters
    ----------
    most : int
        Elements, characters or bytes in all.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, count: int) -> None:
        """Take `count` off; raise a ValueError where no more is left."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the pickle expands beyond measure")

    def limit(self, make: Callable) -> Callable:
        """Return `make`, which pays for the lengths of its arguments."""

        def limited(*arguments: object) -> object:
            self.spend(sum(len(one) for one in arguments if hasattr(one, "__len__")))
            return make(*arguments)

        return limited
