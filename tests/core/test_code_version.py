import pytest

from medaudit.core import code_version
from medaudit.core.errors import MedauditError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: a imports b inside a function, c stands alone."""
    files = {
        "__init__.py": "",
        "a.py": "def f():\n    from medaudit.b import g\n    return g()\n",
        "b.py": "def g():\n    return 1\n",
        "c.py": "x = 1\n",
        "p/__init__.py": "from medaudit import c\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(code_version, "PACKAGE", tmp_path)

    def version(*modules):
        code_version._parse.cache_clear()
        return code_version.code_version(*modules)

    return tmp_path, version


def test_comments_docstrings_and_layout_do_not_count(package):
    root, version = package
    before = version("a")
    (root / "b.py").write_text(
        '"""Says."""\n\n\ndef g():\n    """One."""\n    # why\n    return (1)\n'
    )
    assert version("a") == before


def test_an_edit_counts_for_all_that_import_it_and_for_nothing_else(package):
    root, version = package
    before = {name: version(name) for name in "abcp"}
    (root / "b.py").write_text("def g():\n    return 2\n")
    assert [name for name in "abcp" if version(name) != before[name]] == ["a", "b"]
    (root / "c.py").write_text("x = 2\n")
    assert version("p") != before["p"]


def test_a_backend_is_named(package):
    root, version = package
    before = version("a", "c")
    assert before != version("a")
    (root / "c.py").write_text("x = 3\n")
    assert version("a", "c") != before


def test_an_unknown_module_is_an_error(package):
    with pytest.raises(MedauditError, match="no module medaudit.nothing"):
        package[1]("nothing")
