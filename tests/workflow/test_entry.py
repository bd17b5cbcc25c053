"""The two entries of a checkout, `Snakefile` and `workflow/Snakefile`, run the same audit."""

import pytest

from checkout import Checkout

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return Checkout.copy(tmp_path_factory.mktemp("entry") / "a checkout")


@pytest.mark.parametrize("overlay", [(), ("--configfile", "config/smoke.yaml")])
def test_both_entries_plan_the_same_jobs(checkout, overlay):
    root = checkout.plan("--snakefile", "Snakefile", *overlay)
    direct = checkout.plan("--snakefile", "workflow/Snakefile", *overlay)
    assert sorted(map(str, root)) == sorted(map(str, direct))
    assert len(root) > 20
    assert {rule for rule, _ in root} >= {"cohort", "embed", "probe", "evaluate", "report"}


def test_the_root_snakefile_is_the_module_form_that_users_elsewhere_write(checkout):
    text = (checkout.folder / "Snakefile").read_text()
    assert "module medaudit:" in text and "use rule * from medaudit" in text
    own = (checkout.folder / "config.yaml").read_text()
    assert own == (checkout.folder / "config" / "config.yaml").read_text()
