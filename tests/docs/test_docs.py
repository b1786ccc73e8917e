"""Documentation cannot drift: generated parts are fresh, every public name and command is described."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import fanwise

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_generate", ROOT / "docs" / "_generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_generate"] = module
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_fresh(generate: ModuleType) -> None:
    stale = [
        str(path.relative_to(ROOT)) for path, text in generate.generated().items() if path.read_text("utf-8") != text
    ]
    assert not stale, "run `make docs` and commit"


def test_every_public_name_is_described() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    missing = [name for name in fanwise.__all__ if name != "__version__" and f"fanwise.{name}" not in text]
    assert not missing


def test_every_command_is_described() -> None:
    from fanwise.cli._main import COMMANDS

    reference = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"## fanwise {name}\n" not in reference] == []


def test_every_loss_and_decision_is_described(generate: ModuleType) -> None:
    source = (ROOT / "src" / "fanwise" / "report" / "_losses.py").read_text("utf-8")
    codes = set(re.findall(r'Loss\(\s*"([a-z-]+)"', source))
    assert codes
    assert codes <= set(generate.LOSSES)


def test_every_page_of_help_is_in_the_reference() -> None:
    from fanwise.cli.help import TOPICS, page

    text = (ROOT / "docs" / "reference" / "pages.md").read_text("utf-8")
    assert all(page(topic) in text for topic in TOPICS)


def test_links_between_pages_lead_somewhere() -> None:
    dead = []
    for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            if not (page.parent / target).exists():
                dead.append(f"{page.name}: {target}")
    assert not dead


def test_the_readme_is_short_and_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 150
    assert "make demo" in readme
    assert "make test" in readme


def test_commands_in_the_readme_exist() -> None:
    from fanwise.cli._main import COMMANDS

    readme = (ROOT / "README.md").read_text("utf-8")
    used = set(re.findall(r"^fanwise (\w+)", readme, flags=re.MULTILINE))
    assert used
    assert used <= set(COMMANDS)


def test_nothing_speaks_of_where_it_was_made() -> None:
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    words = re.compile("|".join(map(re.escape, ["sub" + "agent", "DEVELOPERS" + ".md"])))
    found = []
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml"} and path.exists() and words.search(path.read_text("utf-8")):
            found.append(name)
    assert not found


@pytest.mark.parametrize("folder", ["tutorial", "how-to", "reference", "explanation"])
def test_each_part_of_the_documentation_has_a_true_page(folder: str) -> None:
    pages = [page for page in (ROOT / "docs" / folder).glob("*.md") if page.name != "index.md"]
    assert pages
    assert all(len(page.read_text("utf-8").split()) > 40 for page in pages)
