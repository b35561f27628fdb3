"""Which of our own files a script runs: its imports, followed to any depth, inside functions too.

What lies beside a module under its name (page.py, page.html, page.css) is part of it.

DVC doesn't follow imports. The test of dvc.yaml compares each stage's deps with this, and a stage's input
hash covers these files, so that a checkpoint is never resumed by other code than wrote it.
"""

import ast
from pathlib import Path


def local_files(script: Path, root: Path = Path(".")) -> list[Path]:
    """Sorted paths, relative to `root`, of `script` and every non-empty file of ours that it imports."""
    found: set[Path] = set()
    todo = [root / script]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.update(path.parent.glob(f"{path.stem}.*"))
        for name in _imported_names(ast.parse(path.read_bytes(), filename=str(path))):
            todo += _module_files(name, root)
    return sorted(path.relative_to(root) for path in found if path.read_bytes().strip())


def _imported_names(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _module_files(name: str, root: Path) -> list[Path]:
    parts = name.split(".")
    if parts[0] not in ("questions_gen", "stages"):
        return []
    base = (root / "src" if parts[0] == "questions_gen" else root).joinpath(*parts)
    return [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
