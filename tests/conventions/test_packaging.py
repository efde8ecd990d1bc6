"""What is said about versions and dependencies agrees, wherever it is said."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vit_dementia


@pytest.fixture(scope="module")
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def pins(repository: Path) -> dict[str, str]:
    """Return the pinned version of every package in constraints.txt."""
    lines = (repository / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pinned}


def requirements(project: dict) -> list[Requirement]:
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    lines = [
        *project["project"]["dependencies"],
        *(line for group in (*extras, *groups) for line in group),
        *project["build-system"]["requires"],
    ]
    needed = [Requirement(line) for line in lines]
    return [one for one in needed if one.name != project["project"]["name"]]


def test_every_dependency_is_pinned_within_its_range(project, pins) -> None:
    wrong = [
        f"{needed}: pinned {pins.get(canonicalize_name(needed.name))}"
        for needed in requirements(project)
        if (version := pins.get(canonicalize_name(needed.name))) is None
        or not needed.specifier.contains(version)
    ]
    assert wrong == []


def test_the_extra_all_holds_every_other_one(project) -> None:
    extras = dict(project["project"]["optional-dependencies"])
    (everything,) = extras.pop("all")
    assert Requirement(everything).extras == extras.keys()


def test_pins_are_plain_versions(pins) -> None:
    assert [v for v in pins.values() if not re.fullmatch(r"[0-9][0-9a-z.]*", v)] == []


def test_the_version_is_the_same_everywhere(repository) -> None:
    citation = yaml.safe_load((repository / "CITATION.cff").read_text("utf-8"))
    changelog = (repository / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(\d[^]]*)]", changelog, flags=re.MULTILINE)
    assert citation["version"] == vit_dementia.__version__
    assert headings[0] == vit_dementia.__version__


def test_the_authors_are_named_alike(repository, project) -> None:
    citation = yaml.safe_load((repository / "CITATION.cff").read_text("utf-8"))
    assert project["project"]["authors"] == citation["authors"]


def test_conda_only_brings_python_and_pip(repository) -> None:
    environment = yaml.safe_load((repository / "env.yml").read_text("utf-8"))
    assert environment["name"] == "vit-dementia"
    *packages, by_pip = environment["dependencies"]
    assert [re.split("[<>=]", package)[0] for package in packages] == ["python", "pip"]
    assert all("=" not in re.sub("[<>]=", "", package) for package in packages)
    assert by_pip == {"pip": ["-e ."]}


# ANTsPy, and Dask's part for clusters, which its extra `distributed` brings.
IMPORT_NAME = {
    "pillow": "pil",
    "scikit_learn": "sklearn",
    "antspyx": "ants",
    "dask": "distributed",
}
# What `bench --peers` is timed beside where somebody has installed it; never needed.
PEERS = {"timm", "torchvision", "vit_pytorch"}
BESIDE_PEERS = "src/vit_dementia/benchmark"


def imported(repository: Path, folder: str = "src") -> set[str]:
    """Return the names of the other packages that a folder imports anywhere."""
    names = set()
    for path in (repository / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"vit_dementia"}


def test_everything_imported_is_a_declared_dependency(repository, project) -> None:
    declared = {
        IMPORT_NAME.get(name, name)
        for needed in requirements(project)
        if (name := canonicalize_name(needed.name).replace("-", "_"))
    }
    names = {name.lower() for name in imported(repository)}
    assert names - declared - PEERS == set()


def test_peers_are_met_in_the_benchmark_alone_and_never_needed(
    repository, project
) -> None:
    rooms = list((repository / "src/vit_dementia").iterdir())
    elsewhere = {
        str(room.relative_to(repository))
        for room in rooms
        if room.is_dir() and imported(repository, str(room)) & PEERS
    }
    assert elsewhere == {BESIDE_PEERS}
    needed = {
        canonicalize_name(one.name).replace("-", "_") for one in requirements(project)
    }
    assert needed & PEERS == set()
