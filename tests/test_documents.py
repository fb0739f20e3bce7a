"""The documents hold together: what code, tests and documents cite exists, and every relative link leads somewhere.

A citation is written "docs/abi.md §1.5" or "docs/abi.md §5, case 114"; a bare § in a file belongs to the document, the
RFC or the specification that the file named last before it.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).relative_to(ROOT).as_posix()
LISTED = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
FILES = sorted(
    name
    for name in subprocess.run(LISTED, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    if name and (ROOT / name).is_file()
)
MARKDOWN = [name for name in FILES if name.endswith(".md")]
CITING = [
    name for name in FILES if name.endswith((".py", ".c", ".h", ".inc", ".toml", ".yaml", ".md")) and name != HERE
]
ABI, RELIABILITY = "docs/abi.md", "docs/reliability.md"

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_DOCUMENT = re.compile(r"(?<![\w/.\"-])((?:\.\./)*[\w./-]*\b(?:abi|reliability)\.md)\b")
_SOURCE = re.compile(rf"{re.escape(ABI)}|{re.escape(RELIABILITY)}|RFC \d+|core spec|component-model")
_SECTION = re.compile(r"§ ?(\d+(?:\.\d+)*)")
_CASES = re.compile(r"\bcases? (\d+(?:(?:, | to | and )\d+)*)")
_NAMED = re.compile(r"`(?:pytest |python )?([\w./-]+\.(?:py|c|h))(?:`| |::)")
_PLACE = re.compile(r"(?<![\w./-])((?:compiler|docs|filters|runtime-shim|sdk|tests|tools)/[\w/-]*[\w.-]*\w)")
_NOT_OURS = {"Python.h", "compiler/pwasm_compiler/cpython315.py"}  # CPython's; what docs/upgrade.md says how to make
_QUOTED = re.compile(r'\b([A-Z]+|[\w./-]+\.md)(?:\.md)?,? "((?:How|Why|What|When|Which|Where|The) [^"\n]+)"')


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def headings(name: str) -> tuple[str, ...]:
    return tuple(heading for _, heading in _HEADING.findall(_FENCE.sub("", text_of(name))))


@cache
def anchors(name: str) -> frozenset[str]:
    """As GitHub makes them: lower case, without punctuation, hyphens for spaces; a second one of a name ends in -1."""
    found: dict[str, int] = {}
    for heading in headings(name):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return frozenset(
        f"{slug}-{number}" if number else slug for slug, last in found.items() for number in range(last + 1)
    )


@cache
def sections(name: str) -> frozenset[str]:
    return frozenset(heading.split()[0].rstrip(".") for heading in headings(name) if heading[0].isdigit())


@cache
def cases() -> frozenset[int]:
    """The numbers of the list in §5 of the ABI's document."""
    (part,) = re.findall(r"^## 5\. .*?(?=^## 6\. )", text_of(ABI), re.MULTILINE | re.DOTALL)
    return frozenset(int(number) for number in re.findall(r"^(\d+)\. ", part, re.MULTILINE))


def numbers(listed: str) -> Iterator[int]:
    """ "1, 3 to 5 and 9": 1, 3, 4, 5, 9."""
    last = 0
    for joint, digits in re.findall(r"(, | to | and |)(\d+)", listed):
        yield from range(last + 1 if joint == " to " else int(digits), int(digits) + 1)
        last = int(digits)


def cited(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, document and section of each citation; the document is empty where nothing says what is meant."""
    sources = list(_SOURCE.finditer(text))
    for found in _SECTION.finditer(text):
        before = [source[0] for source in sources if source.start() < found.start()]
        document = before[-1] if before else ""
        if document in (ABI, RELIABILITY, ""):
            yield text.count("\n", 0, found.start()) + 1, document, found[1]


def links() -> Iterator[tuple[str, str]]:
    for name in MARKDOWN:
        for target in _LINK.findall(_FENCE.sub("", text_of(name))):
            if not re.match(r"[a-z]+:", target):
                yield name, target


@pytest.mark.parametrize("name", MARKDOWN)
def test_every_relative_link_leads_to_a_file_and_a_heading(name: str) -> None:
    wrong = []
    for source, target in links():
        if source != name:
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / source).parent / path).resolve() if path else ROOT / source
        if not file.exists() or (anchor and anchor not in anchors(file.relative_to(ROOT).as_posix())):
            wrong.append(target)
    assert wrong == []


def test_every_section_that_is_cited_exists() -> None:
    wrong = []
    for name in CITING:
        own = name if name in (ABI, RELIABILITY) else ""
        for line, document, section in cited(text_of(name)):
            if section not in sections(document or own or ABI) or not (document or own):
                wrong.append(f"{name}:{line}: §{section} of {document or 'no document'}")
    assert wrong == []


def test_every_case_that_is_cited_exists() -> None:
    assert cases() == set(range(1, 123))
    wrong = []
    for name in CITING:
        for found in _CASES.finditer(text_of(name)):
            line = text_of(name).count("\n", 0, found.start()) + 1
            if ABI not in text_of(name) and name not in (ABI, RELIABILITY):
                wrong.append(f"{name}:{line}: {found[0]}, and the file does not name {ABI}")
            wrong += [f"{name}:{line}: case {number}" for number in numbers(found[1]) if number not in cases()]
    assert wrong == []


def test_the_conformance_cases_are_named_after_what_exists() -> None:
    found: dict[str, object] = json.loads(text_of("tests/golden/conformance.json"))
    for name in found:
        reliability, number = re.match(r"(R?)([\d.]+)-", name).groups()  # type: ignore[union-attr]
        if reliability or "." in number:
            assert number in sections(RELIABILITY if reliability else ABI), name
        else:
            assert int(number) in cases(), name


def test_documents_are_named_by_their_place() -> None:
    """Not "abi.md", and no notes that are not in the repository."""
    wrong = []
    for name in CITING:
        for number, line in enumerate(text_of(name).splitlines(), 1):
            for found in _DOCUMENT.findall(line):
                if found not in (ABI, RELIABILITY) and not name.endswith(".md"):
                    wrong.append(f"{name}:{number}: {found}")
            if re.search(r"\bdesign notes?\b", line):
                wrong.append(f"{name}:{number}: {line.strip()}")
    assert wrong == []


def test_every_heading_that_is_quoted_exists() -> None:
    """`RATIONALE "Why may code be left out?"` is found in one of the files of that name."""
    wrong, seen = [], 0
    for name in CITING:
        for document, heading in _QUOTED.findall(text_of(name)):
            stem = document.removesuffix(".md").rpartition("/")[2]
            named = [file for file in MARKDOWN if Path(file).stem == stem]
            if named:
                seen += 1
                wanted = re.sub(r"\s*\n[#\s]*", " ", heading).rstrip(".,")
                wrong += [f"{name}: {heading}"] if not any(wanted in headings(file) for file in named) else []
    assert (wrong, seen > 0) == ([], True)


@pytest.mark.parametrize("name", MARKDOWN)
def test_every_file_and_folder_that_is_named_exists(name: str) -> None:
    """By its path from the top, or a source file by as much of its end as the text gives."""
    places = {
        place
        for place in _PLACE.findall(_FENCE.sub("", text_of(name)))
        if not (ROOT / place.removesuffix("/main.wasm")).exists()
    }
    ends = {f"/{end}" for end in _NAMED.findall(text_of(name))}
    unknown = {end[1:] for end in ends if not any(f"/{known}".endswith(end) for known in FILES)}
    assert (places | unknown) - _NOT_OURS == set()


@pytest.mark.parametrize("name", [name for name in MARKDOWN if name.endswith("RATIONALE.md")])
def test_a_rationale_begins_with_its_groups(name: str) -> None:
    groups = re.findall(r"^## (.+)$", text_of(name), re.MULTILINE)
    assert re.findall(r"^- \[(.+)\]\(#", text_of(name), re.MULTILINE) == groups
    assert len(groups) < 11
