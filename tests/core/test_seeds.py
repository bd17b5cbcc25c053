from medaudit.core.seeds import derive_seed, generator


def test_a_seed_depends_on_its_parts_alone():
    assert derive_seed("probe", "nih", 0) == derive_seed("probe", "nih", "0")
    seeds = {derive_seed("a", "bc"), derive_seed("ab", "c"), derive_seed("a", "b", "c")}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_streams_are_reproducible_and_differ_by_name():
    first, again, other = (generator("bootstrap", name).random(8) for name in ("x", "x", "y"))
    assert (first == again).all()
    assert (first != other).any()
