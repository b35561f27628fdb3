"""Which files a script runs."""

from pathlib import Path

from questions_gen.files import write_text
from questions_gen.imports import local_files


def test_imports_are_followed_into_functions_and_packages(tmp_path: Path) -> None:
    write_text(tmp_path / "stages/__init__.py", "")
    write_text(
        tmp_path / "stages/one.py",
        "import json\nfrom questions_gen import a\ndef f():\n    from questions_gen.p import c\n",
    )
    write_text(tmp_path / "src/questions_gen/__init__.py", "")
    write_text(tmp_path / "src/questions_gen/a.py", "import questions_gen.b as b\n")
    write_text(tmp_path / "src/questions_gen/b.py", "import torch\n")
    write_text(tmp_path / "src/questions_gen/unused.py", "x = 1\n")
    write_text(tmp_path / "src/questions_gen/p/__init__.py", "")
    write_text(tmp_path / "src/questions_gen/p/c.py", "x = 1\n")
    found = [path.as_posix() for path in local_files(Path("stages/one.py"), tmp_path)]
    assert found == ["src/questions_gen/a.py", "src/questions_gen/b.py", "src/questions_gen/p/c.py", "stages/one.py"]


def test_what_lies_beside_a_module_under_its_name_is_part_of_it(tmp_path: Path) -> None:
    write_text(tmp_path / "stages/one.py", "from questions_gen import page\n")
    for name in ("page.py", "page.html", "page.css", "pages.html", "other.html"):
        write_text(tmp_path / "src/questions_gen" / name, "x = 1\n")
    found = [path.name for path in local_files(Path("stages/one.py"), tmp_path)]
    assert found == ["page.css", "page.html", "page.py", "one.py"]
