"""What counts as a filter, the valid contents of its pyproject.toml, and the files that belong to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pwasm_compiler.errors import ProjectError, PwasmError, UsageError
from pwasm_compiler.project import Project, is_stale, load_project, source_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an empty filter.py."""
    folder = tmp_path / "add-header"
    folder.mkdir()
    (folder / "filter.py").write_text("")
    return folder


def configure(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def names(project: Project) -> list[str]:
    return [file.relative_to(project.root).as_posix() for file in source_files(project)]


def test_a_folder_without_configuration(folder: Path) -> None:
    assert load_project(folder) == Project(
        root=folder, entry=folder / "filter.py", name="add-header", output=folder / "main.wasm"
    )


def test_every_key(folder: Path) -> None:
    configure(
        folder,
        """
        [project]
        name = "adder"
        dependencies = ["idna>=3", "pwasm-sdk[envoy]>=0.1", "PWASM_SDK"]
        [tool.pwasm]
        include = ["codecs_of_mine", "a.b"]
        memory = 64
        output = "out/filter.wasm"
        build-timeout = 30
        docstrings = true
        lock = "pwasm.lock"
        sdist = ["Old_Tool"]
        """,
    )
    assert load_project(folder) == Project(
        root=folder,
        entry=folder / "filter.py",
        name="adder",
        output=folder / "out/filter.wasm",
        dependencies=("idna>=3",),
        include=("codecs_of_mine", "a.b"),
        memory_max_mib=64,
        build_timeout_seconds=30,
        docstrings=True,
        lock=folder / "pwasm.lock",
        sdist=("old-tool",),
    )


@pytest.mark.parametrize("name", [":all:", "a,b", "tool>=1", "-r", ""])
def test_sdist_takes_names_only(folder: Path, name: str) -> None:
    configure(folder, f"[tool.pwasm]\nsdist = ['{name}']")
    with pytest.raises(ProjectError, match="names of distributions"):
        load_project(folder)


def test_a_module_older_than_its_lock_is_stale(folder: Path) -> None:
    configure(folder, "[tool.pwasm]\nlock = 'pwasm.lock'")
    (folder / "pwasm.lock").touch()
    (folder / "main.wasm").touch()
    os.utime(folder / "main.wasm", (2e9, 2e9))
    assert not is_stale(load_project(folder))
    os.utime(folder / "pwasm.lock", (3e9, 3e9))
    assert is_stale(load_project(folder))


def test_keep_takes_built_in_modules_also_without_their_first_underscore(folder: Path) -> None:
    configure(folder, "[tool.pwasm]\nkeep = ['eval', 'sqlite3', '_json', 'math']")
    assert load_project(folder).keep == ("eval", "_sqlite3", "_json", "math")


def test_filter_py_stands_for_its_folder(folder: Path) -> None:
    assert load_project(folder / "filter.py") == load_project(folder)


def test_a_single_file_is_alone(folder: Path) -> None:
    configure(folder, "this is not TOML")
    write(folder, "other.py", "helper.py")
    project = load_project(folder / "other.py")
    assert (project.name, project.output, project.configuration) == ("other", folder / "main.wasm", None)
    assert names(project) == ["other.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[tool.pwasm]\ninclde = ["a"]',
            "unknown key 'inclde' in [tool.pwasm] of {file}\nhint: did you mean 'include'?",
        ),
        ("[tool.pwasm]\nzzz = 1", "hint: the keys are: include, data, keep, memory, output, build-timeout, docstrings"),
        ("[tool.pwasm]\nmemory = '64'", "Expected an integer from 32 to 1024, got a string, '64'."),
        ("[tool.pwasm]\nmemory = true", "Expected an integer from 32 to 1024, got a boolean, True."),
        ("[tool.pwasm]\nmemory = 31", "Expected an integer from 32 to 1024, got an integer, 31."),
        ("[tool.pwasm]\nmemory = 1025", "Expected an integer from 32 to 1024, got an integer, 1025."),
        ("[tool.pwasm]\nbuild-timeout = 0", "Expected an integer from 1 to 3600, got an integer, 0."),
        ("[tool.pwasm]\ninclude = 'a'", "Expected an array of strings, got a string, 'a'."),
        (
            "[tool.pwasm]\ninclude = ['a/b']",
            "Expected module names, such as 'package.module', got a string, 'a/b'.",
        ),
        (
            "[tool.pwasm]\nkeep = ['_sqlite']",
            "unknown name '_sqlite' for 'keep' in [tool.pwasm] of {file}\nhint: did you mean '_sqlite3'?",
        ),
        ("[tool.pwasm]\nkeep = ['?']", "hint: the names are: eval, _abc, _ast, "),
        ("[tool.pwasm]\nkeep = 'eval'", "Expected an array of strings, got a string, 'eval'."),
        ("[tool.pwasm]\noutput = ''", "Expected a non-empty string, got a string, ''."),
        ("[tool.pwasm]\noutput = ['x']", "Expected a non-empty string, got an array."),
        ("tool.pwasm = 3", "[tool.pwasm] of {file} is not a table"),
        ("project = 3", "[project] of {file} is not a table"),
        ("[project]\ndependencies = 'idna'", "Expected an array of strings, got a string, 'idna'."),
        ("[project]\ndependencies = [1]", "Expected an array of strings, got an integer, 1."),
        ("[project]\ndependencies = ['-r x']", "invalid requirement '-r x' in [project] dependencies of {file}"),
        ("[tool.pwasm]\n\nmemory = \n", "{file} is not valid TOML\nInvalid value (at line 3, column 10)."),
    ],
)
def test_a_wrong_configuration_is_named(folder: Path, text: str, message: str) -> None:
    configure(folder, text)
    with pytest.raises(ProjectError) as caught:
        load_project(folder)
    assert message.format(file=folder / "pyproject.toml") in str(caught.value)


def test_a_configuration_that_is_not_text(folder: Path) -> None:
    (folder / "pyproject.toml").write_bytes(b"[tool]\n\xff")
    with pytest.raises(ProjectError, match=r"not UTF-8 \(at byte 7\)"):
        load_project(folder)


def test_a_configuration_that_is_a_folder(folder: Path) -> None:
    (folder / "pyproject.toml").mkdir()
    with pytest.raises(ProjectError, match=r"cannot read .*pyproject.toml"):
        load_project(folder)


@pytest.mark.parametrize(
    ("files", "path", "kind", "message"),
    [
        ([], "missing", UsageError, "no such file or directory"),
        (["README.md"], "", ProjectError, "hint: create one with: pwasm new NAME"),
        (["test_x.py", "plugin.py"], "", ProjectError, "hint: to build a single file: pwasm build "),
        (
            ["go.mod", "filter.py"],
            "",
            ProjectError,
            "hint: move one of them to another folder, or choose one",
        ),
        (["main.go"], "", ProjectError, "hint: a Go filter has a go.mod: go mod init "),
        (["main.go"], "main.go", ProjectError, "needs one.\nhint: a Go filter has a go.mod: go mod init "),
        (["filter.txt"], "filter.txt", ProjectError, "filter.txt is not a filter"),
        (["filter.py/x"], "", ProjectError, "is not a filter"),
    ],
)
def test_what_is_not_a_filter(
    tmp_path: Path, files: list[str], path: str, kind: type[PwasmError], message: str
) -> None:
    write(tmp_path, *files)
    with pytest.raises(kind) as caught:
        load_project(tmp_path / path)
    assert message in str(caught.value)


def test_source_files_of_a_folder(folder: Path) -> None:
    write(folder, "helper.py", "pkg/__init__.py", "pkg/data/table.json", "pkg/sub/deep.py", "pkg/build/x.py")
    write(folder, "test_filter.py", "filter_test.py", "conftest.py", "tests/__init__.py", "pkg/tests/test_a.py")
    write(folder, ".venv/__init__.py", "venv/__init__.py", "build/__init__.py", "dist/__init__.py", ".hidden.py")
    write(folder, "__pycache__/__init__.py", "pkg/__pycache__/a.pyc", "pkg/x.pyc", "node_modules/__init__.py")
    write(folder, "notes/no_package.py", "envoy.yaml", "not-a-module.py", "test/__init__.py")
    assert names(load_project(folder)) == [
        "filter.py",
        "helper.py",
        "pkg/__init__.py",
        "pkg/build/x.py",
        "pkg/data/table.json",
        "pkg/sub/deep.py",
    ]


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("import_module('handlers.a')", True),
        ("import_module('handlers.' + name)", True),
        ("import_module(f'handlers.{name}')", True),
        ("import_module('handlers.%s' % name)", True),
        ("from handlers import a", True),
        ("log('handlers: none')", False),
        ("log('handlers.')", True),
        ("log('all handlers')", False),
    ],
)
def test_a_folder_without_init_is_code_if_it_is_named_as_a_package(folder: Path, text: str, *, there: bool) -> None:
    write(folder, "handlers/a.py")
    (folder / "filter.py").write_text(f"{text}\n")
    assert ("handlers/a.py" in names(load_project(folder))) is there


def test_a_go_filter(tmp_path: Path) -> None:
    write(tmp_path, "main.go", "pages/test_a.html", "main.wasm", "main.wasm.names", ".git/config", "node_modules/x/y")
    (tmp_path / "go.mod").write_text("module example.org/filters/add_header/v2\n")
    for path in ("", "go.mod", "main.go"):
        project = load_project(tmp_path / path)
        assert (project.language, project.name, project.root) == ("go", "add_header", tmp_path.resolve())
        assert project.output == project.root / "main.wasm"
        assert project.configuration is None
    assert names(project) == ["go.mod", "main.go", "pages/test_a.html"]


@pytest.mark.parametrize(
    ("backend", "path", "language"),
    [("python", "", "python"), ("go", "", "go"), ("tinygo", "", "go"), ("tinygo", "main.go", "go")],
)
def test_a_backend_decides_between_two_languages(tmp_path: Path, backend: str, path: str, language: str) -> None:
    write(tmp_path, "filter.py", "main.go", "go.mod")
    project = load_project(tmp_path / path, backend)
    assert (project.language, project.backend) == (language, backend)


@pytest.mark.parametrize(
    ("backend", "file", "path", "message"),
    [
        ("go", "filter.py", "", "has no go.mod\nThe backend go needs one."),
        ("go", "other.py", "other.py", "other.py is a Python file\nThe backend go builds Go modules."),
        ("python", "go.mod", "", "has no filter.py\nThe backend python needs one."),
        ("python", "go.mod", "go.mod", "has no filter.py\nThe backend python needs one."),
    ],
)
def test_a_backend_for_another_language(tmp_path: Path, backend: str, file: str, path: str, message: str) -> None:
    write(tmp_path, file)
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path / path, backend)
    assert message in str(caught.value)


LINKS_OUT = {
    # link in the folder "add-header": where it leads; beside that folder is private/token
    "a file of a package": ("pkg/data.txt", "../../private/token"),
    "a folder of a package": ("pkg/folder", "../../private"),
    "an absolute link": ("pkg/data.txt", "/etc/passwd"),
    "a chain": ("pkg/data.txt", "../chained"),
    "a file behind a linked folder": ("pkg/sub/data.txt", "../../../private/token"),
    "a package": ("private", "../private"),
    "a module": ("helper.py", "../private/__init__.py"),
    "the filter": ("filter.py", "../private/__init__.py"),
    "the configuration": ("pyproject.toml", "../private/token"),
    "a data file beside the filter": ("named.txt", "../private/token"),
    "a data folder beside the filter": ("named", "../private"),
    "a folder above": ("pkg/folder", "../.."),
}


@pytest.mark.parametrize(("link", "target"), LINKS_OUT.values(), ids=LINKS_OUT)
def test_a_link_that_leads_out_of_the_folder_is_refused_by_name(folder: Path, link: str, target: str) -> None:
    write(folder.parent, "private/token", "private/__init__.py")
    write(folder, "pkg/__init__.py", "pkg/sub/a.py")
    (folder / "filter.py").write_text("NAMED = 'named', 'named.txt'")
    (folder / "chained").symlink_to("../private/token")
    (folder / link).unlink(missing_ok=True)
    (folder / link).symlink_to(target)
    with pytest.raises(ProjectError) as caught:
        source_files(load_project(folder))
    assert f"{folder / link} is a link that leads out of the filter's folder\nIt leads to /" in str(caught.value)
    assert "hint: copy what you need of it" in str(caught.value)


def test_a_single_file_that_links_out_is_refused(folder: Path) -> None:
    write(folder.parent, "private.py")
    (folder / "other.py").symlink_to("../private.py")
    with pytest.raises(ProjectError, match=r"other\.py is a link that leads out"):
        source_files(load_project(folder / "other.py"))


LINKS_NOWHERE = {
    "to itself": ("loop.py", "loop.py", "leads back to itself"),
    "to each other": ("pkg/a.txt", "b.txt", "leads back to itself"),
    "to the folder it is in": ("pkg/up", ".", "leads back to itself"),
    "to the filter's folder": ("pkg/sub/top", "../..", "leads back to itself"),
    "to nothing": ("pkg/nowhere", "gone", "leads nowhere\nIt leads to gone: No such file or directory."),
    "to a hidden file": ("pkg/settings", "../.env", "is a link to .env\nHidden files do not go into a module."),
}


@pytest.mark.parametrize(("link", "target", "message"), LINKS_NOWHERE.values(), ids=LINKS_NOWHERE)
def test_a_link_without_an_end_or_to_hidden_files_is_refused(
    folder: Path, link: str, target: str, message: str
) -> None:
    write(folder, ".env", "pkg/__init__.py", "pkg/sub/a.py")
    (folder / "pkg/b.txt").symlink_to("a.txt" if link == "pkg/a.txt" else "__init__.py")
    (folder / link).symlink_to(target)
    with pytest.raises(ProjectError) as caught:
        source_files(load_project(folder))
    assert message in str(caught.value)


def test_two_folders_that_link_to_each_other_end(folder: Path) -> None:
    write(folder, "a/__init__.py", "b/__init__.py")
    (folder / "a/b").symlink_to("../b")
    (folder / "b/a").symlink_to("../a")
    with pytest.raises(ProjectError, match="leads back to itself"):
        source_files(load_project(folder))


def test_links_that_stay_inside_are_followed(folder: Path) -> None:
    write(folder, "pkg/__init__.py", "pkg/a.txt", "..2026_11/helper.py")
    (folder / "pkg/b.txt").symlink_to("a.txt")
    (folder / "alias").symlink_to("pkg")
    (folder / "..data").symlink_to("..2026_11")  # what Kubernetes makes of a ConfigMap
    (folder / "helper.py").symlink_to("..data/helper.py")
    assert names(load_project(folder)) == [
        *("alias/__init__.py", "alias/a.txt", "alias/b.txt"),
        *("filter.py", "helper.py"),
        *("pkg/__init__.py", "pkg/a.txt", "pkg/b.txt"),
    ]


NAMED = {
    "a name": 'open(HERE / "table.csv")',
    "a path": "open(f'{HERE}/table.csv')",
    "a pattern": 'HERE.glob("*.csv")',
    "an ending": 'name + ".csv"',
    "an f-string": 'f"{name}.csv"',
    "a format": '"%s.csv" % name',
}


@pytest.mark.parametrize("code", NAMED.values(), ids=NAMED)
def test_data_files_that_the_code_names_belong_to_the_filter(folder: Path, code: str) -> None:
    write(folder, "table.csv", "table.csv.bak", "key.pem", ".csv", "README.md")
    (folder / "filter.py").write_text(code)
    assert names(load_project(folder)) == ["filter.py", "table.csv"]


def test_data_folders_that_the_code_names_belong_to_the_filter(folder: Path) -> None:
    write(
        folder, "i18n/en.json", "i18n/sub/de.json", "i18n/.env", "i18n/tests/x.json", "secrets/token", "pkg/__init__.py"
    )
    (folder / "filter.py").write_text("import secrets")
    (folder / "pkg/__init__.py").write_text('DATA = HERE / "i18n"')
    assert names(load_project(folder)) == ["filter.py", "i18n/en.json", "i18n/sub/de.json", "pkg/__init__.py"]


def test_what_never_belongs_to_the_filter(folder: Path) -> None:
    never = (".env", "pyproject.toml", "main.wasm", "main.wasm.names", "test_x.json", "tests/x.json", "build/x.json")
    write(folder, *never, ".git/config")
    (folder / "filter.py").write_text(" ".join(f"'{name.partition('/')[0]}'" for name in (*never, ".git/")))
    assert names(load_project(folder)) == ["filter.py"]


def test_data_in_the_settings(folder: Path) -> None:
    write(folder, "i18n/en.json", "a.dat", "b.dat", "other.txt")
    configure(folder, '[tool.pwasm]\ndata = ["i18n/", "*.dat"]')
    assert names(load_project(folder)) == ["a.dat", "b.dat", "filter.py", "i18n/en.json"]


@pytest.mark.parametrize("pattern", ["gone.txt", ".env", "../other", "tests", "i18n/en.json"])
def test_data_that_is_not_there(folder: Path, pattern: str) -> None:
    write(folder, ".env", "tests/x.json", "i18n/en.json")
    configure(folder, f'[tool.pwasm]\ndata = ["{pattern}"]')
    with pytest.raises(ProjectError, match=f"nothing beside filter.py matches '{pattern}' of 'data'"):
        source_files(load_project(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json.py", "json.py would shadow the standard library's module 'json'"),
        ("email/__init__.py", "email would shadow the standard library's module 'email'"),
        ("annotationlib.py", "annotationlib.py would shadow the standard library's module 'annotationlib'"),
        ("pwasm.py", "pwasm.py would shadow pwasm's own module 'pwasm'"),
        ("wit_world.py", "wit_world.py would shadow pwasm's own module 'wit_world'"),
    ],
)
def test_a_module_that_hides_another_is_refused(folder: Path, name: str, message: str) -> None:
    write(folder, name)
    with pytest.raises(ProjectError, match=message):
        source_files(load_project(folder))
