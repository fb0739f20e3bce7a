"""The figures of a run in the documents, and the options that lead there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from . import cli, publish
from .examples import example_run
from .peers import BASELINE, PEERS, PRODUCT
from .problems import BenchError
from .publish import BLOCKS, CHART, ROOT, as_json, read, replaced

PAGE = "before\n<!-- make bench: {} -->\nold\n\n| a |\n<!-- make bench: end -->\nafter\n"


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with every page, each with its blocks."""
    for name, block in BLOCKS:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        with file.open("a", encoding="utf-8") as page:
            page.write(PAGE.format(block))
    (tmp_path / CHART).parent.mkdir(parents=True)
    return tmp_path


def test_what_stands_in_the_documents(documents: Path, golden: Callable[[str, str], None]) -> None:
    files = publish.publish(example_run(), documents)
    assert files == [documents / "README.md", documents / "docs/performance.md", documents / CHART]
    text = "".join(file.read_text(encoding="utf-8") for file in files[:2])
    assert "old" not in text
    assert text.count("before\n<!--") == text.count("-->\nafter\n") == len(BLOCKS)
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))
    assert files[2].read_text(encoding="utf-8").endswith("</svg>\n")
    golden("bench/published.md", text)


def test_nothing_is_written_when_a_block_is_missing(documents: Path) -> None:
    page = documents / "docs/performance.md"
    page.write_text(PAGE.format("all"), encoding="utf-8")
    before = (documents / "README.md").read_text(encoding="utf-8")
    with pytest.raises(BenchError, match=r"docs/performance\.md has no block <!-- make bench: allocator --> …"):
        publish.publish(example_run(), documents)
    assert (documents / "README.md").read_text(encoding="utf-8") == before
    assert page.read_text(encoding="utf-8") == PAGE.format("all")


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_the_documents_have_the_blocks(name: str, block: str) -> None:
    text = replaced((ROOT / name).read_text(encoding="utf-8"), name, block, "new: \\1")
    assert f"<!-- make bench: {block} -->\nnew: \\1\n<!-- make bench: end -->" in text


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    file, run = tmp_path / "raw.json", example_run()
    file.write_text(json.dumps(as_json(run)), encoding="utf-8")
    assert cli.closing(read(file).summary) == cli.closing(run.summary)
    assert (read(file).machine, read(file).settings) == (run.machine, run.settings)


@pytest.mark.parametrize("text", [None, "no JSON", "[]", "{}", '{"summary": {}, "problems": {}, "loops": []}'])
def test_a_file_without_figures(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "raw.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"raw\.json holds no figures of this benchmark"):
        read(file)


def test_figures_are_published_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "raw.json", example_run()
    file.write_text(json.dumps(as_json(run)), encoding="utf-8")
    published: list[publish.Run] = []

    def note(found: publish.Run) -> list[Path]:
        published.append(found)
        return [Path("README.md")]

    monkeypatch.setattr(publish, "publish", note)
    assert cli.main(["--read", str(file), "--publish"]) == 0
    printed = capsys.readouterr()
    assert printed.out == cli.closing(run.summary) + "\n"
    assert printed.err == "written: README.md\n"
    assert published[0].machine == run.machine


@pytest.mark.parametrize("option", [["--quick"], ["--only", "Lua"]])
def test_what_is_no_whole_run_is_not_published(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--publish", *option])
    assert "--publish wants a whole run" in capsys.readouterr().err


def test_some_peers_are_chosen() -> None:
    assert cli._chosen([]) == list(PEERS)
    assert [peer.name for peer in cli._chosen([PRODUCT])] == [BASELINE, PRODUCT]
