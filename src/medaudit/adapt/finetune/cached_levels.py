"""Which levels of a tower to store, if the space does not suffice for all of them."""


def choose_levels(sizes: list[int], budget: float) -> tuple[int, ...]:
    """Return the levels to store: those that save most blocks within a size limit.

    The level of the features comes first: it is small and serves every trial with a linear head.
    Then, one at a time, the level that saves most units per byte, if each depth of the frozen part
    is equally likely. The chosen levels are therefore spread evenly instead of all at the top,
    where most trials could not use them.

    Parameters
    ----------
    sizes : list of int
        Bytes of level 1, 2, ...; the last one is the level of the features.
    budget : float
        Size limit in bytes.
    """
    end, chosen = len(sizes), set[int]()
    while True:
        left = budget - sum(sizes[level - 1] for level in chosen)
        rest = [lv for lv in range(1, end + 1) if lv not in chosen and sizes[lv - 1] <= left]
        if not rest:
            return tuple(sorted(chosen))
        saved = _saved_units(chosen, end)
        best = max(
            rest,
            key=lambda lv: (lv == end, (_saved_units({*chosen, lv}, end) - saved) / sizes[lv - 1]),
        )
        chosen.add(best)


def _saved_units(levels: set[int], end: int) -> int:
    """Return the units that `levels` save, summed over all depths of the frozen part."""
    return sum(max((lv for lv in levels if lv <= frozen), default=0) for frozen in range(end + 1))
