"""Hash of all code that makes a result: a stage's modules and whatever they import."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from medaudit.core.errors import MedauditError

PACKAGE = Path(__file__).parents[1]


def code_version(*modules: str) -> str:
    """Return a hash of the code that `modules` can reach inside the package.

    The hash covers the syntax trees of the modules and of every ``medaudit`` module they import,
    directly or not, at the top or inside a function. Comments, docstrings and layout do not
    count, so editing them reruns nothing. The files in a package's ``templates`` folder and its
    CSV files count byte by byte. A module that is imported by name at run time (a dataset, a kind
    of model) is not found and must be listed.

    Parameters
    ----------
    *modules : str
        Names below ``medaudit``, e.g. ``"models.embed"``, ``"models.kinds.pixels"``. A package
        means its ``__init__``; the packages around a module count too.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    MedauditError
        A module does not exist.
    """
    seen: set[str] = set()
    waiting = [f"medaudit.{module}" for module in modules]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += [*_parse(module)[1], *_parents(module)]
    digest = hashlib.sha256()
    for module in sorted(seen):
        digest.update(f"{module}={_parse(module)[0]}\n".encode())
        for template in _templates(module):
            digest.update(template.name.encode() + template.read_bytes())
    return digest.hexdigest()[:16]


def _parents(module: str) -> list[str]:
    """Return the packages around a module: importing it runs their ``__init__`` too."""
    parts = module.split(".")
    return [".".join(parts[:k]) for k in range(2, len(parts))]


def _source(module: str) -> Path | None:
    stem = PACKAGE.joinpath(*module.split(".")[1:])
    found = [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]
    return found[0] if found else None


def _templates(module: str) -> list[Path]:
    folder = PACKAGE.joinpath(*module.split(".")[1:])
    return sorted([*folder.glob("templates/*"), *folder.glob("*.csv")])


@cache
def _parse(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the hash of a module's syntax tree, and the modules that it imports."""
    path = _source(module)
    if path is None:
        raise MedauditError(f"code_version: {PACKAGE} has no module {module}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = tuple(_find_imports(tree))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [part for part in body if not _is_text(part)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node, "value", None), ast.Constant)


def _find_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from a import b` imports module a.b or takes the name b from module a.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "medaudit" and _source(name) is not None:
                yield name
