"""Several filters in one pytest run: each test finds the filter, helpers and registration next to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pwasm_compiler import scaffold

Run = Callable[..., CompletedProcess[str]]
HELPER = "NAME = {name!r}\n"
CONFTEST = """\
import filter, helper, pytest

@pytest.fixture
def imported():
    return filter, helper
"""
TESTS = """\
import filter, helper
from pathlib import Path
from pwasm.testing import HostEmulator

def test_at_the_top():
    assert (helper.NAME, Path(filter.__file__).parent.name) == ({name!r}, {name!r})

def test_later():
    import filter as again, helper as helper_again, later
    assert (again, helper_again, later.NAME) == (filter, helper, {name!r})

def test_what_it_registered():
    assert HostEmulator().request().headers["x-wasm-custom"] == {name!r}
"""
WITH_CONFTEST = """
def test_in_conftest(imported):
    assert imported == (filter, helper)
"""


@pytest.fixture
def two_filters(tmp_path: Path) -> Path:
    """Created by `pwasm new`, with helpers of the same names."""
    for name in ("one", "the-other"):
        folder = tmp_path / name
        scaffold.create(folder)
        text = (folder / "filter.py").read_text().replace("import pwasm\n", "import helper\nimport pwasm\n", 1)
        (folder / "filter.py").write_text(text.replace('"FOO"', "helper.NAME"))
        (folder / "test_filter.py").write_text((folder / "test_filter.py").read_text().replace('"FOO"', repr(name)))
        for helper in ("helper.py", "later.py"):
            (folder / helper).write_text(HELPER.format(name=name))
        (folder / "test_more.py").write_text(TESTS.format(name=name))
    return tmp_path


def _passed(done: CompletedProcess[str], count: int) -> None:
    assert f"{count} passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ((), 8),
        (("--import-mode=importlib",), 8),
        (("one", "the-other"), 8),
        (("the-other/test_filter.py", "one/test_more.py", "one/test_filter.py"), 5),
        (("one/test_more.py::test_later", "the-other/test_more.py::test_later"), 2),
    ],
    ids=["all", "importlib", "folders", "files", "tests"],
)
def test_two_filters(two_filters: Path, run_pytest: Run, arguments: tuple[str, ...], count: int) -> None:
    _passed(run_pytest(two_filters, *arguments), count)


@pytest.mark.parametrize("arguments", [(), ("one", "the-other")], ids=["all", "folders"])
def test_their_conftests(two_filters: Path, run_pytest: Run, arguments: tuple[str, ...]) -> None:
    """pytest imports those of the folders it is given before anything else."""
    for folder in two_filters.iterdir():
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_more.py").write_text((folder / "test_more.py").read_text() + WITH_CONFTEST)
    _passed(run_pytest(two_filters, "--rootdir=.", *arguments), 10)


def test_tests_beside_no_filter(two_filters: Path, run_pytest: Run) -> None:
    """They see neither filter, and keep their own modules of the same names."""
    (two_filters / "helper.py").write_text(HELPER.format(name="nobody's"))
    for name in ("test_first.py", "zz/test_last.py"):
        (two_filters / name).parent.mkdir(exist_ok=True)
        (two_filters / name).write_text(
            "import sys, helper\n"
            "def test_mine():\n"
            "    assert (helper.NAME, sys.modules['helper']) == (\"nobody's\", helper)\n"
            "    assert 'filter' not in sys.modules\n"
        )
    _passed(run_pytest(two_filters, "test_first.py", "one", "the-other", "zz", "--rootdir=."), 10)


@pytest.mark.parametrize("also", ["", "import sys\nsys.modules.pop('one', None)\n"], ids=["", "parent taken out"])
def test_namespace_packages(two_filters: Path, run_pytest: Run, also: str) -> None:
    """With importlib a test's folders are namespace packages, and where the inner ones are, the outer ones know."""
    for folder in two_filters.iterdir():
        (folder / "tests").mkdir()
        (folder / "tests" / "test_b.py").write_text(also + TESTS.format(name=folder.name))
    _passed(run_pytest(two_filters, "--import-mode=importlib"), 14)


def test_a_filter_above_the_root_is_somebody_elses(tmp_path: Path, run_pytest: Run) -> None:
    """It would take away what the conftest.py has imported: two classes of one name, and no error is caught."""
    (tmp_path / "filter.py").write_text("raise RuntimeError('not mine')\n")
    root = tmp_path / "mine"
    root.mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "mine.py").write_text("class Mine(Exception):\n    pass\n")
    (root / "conftest.py").write_text("import mine, pytest\n\n@pytest.fixture\ndef kind():\n    return mine.Mine\n")
    (root / "test_mine.py").write_text("def test_it(kind):\n    import mine\n    assert kind is mine.Mine\n")
    _passed(run_pytest(root), 1)
