"""What holds for the project as a whole: who may import whom, how modules are named, and how long they are."""

from __future__ import annotations

import ast
import functools
import graphlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import pytest
import soundfile

from tests.conftest import LONGEST, PROJECT
from tests.edgeapp import toy_pack as toy

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FLOORS = {"gallery": 1, "edgeapp": 2, "trainer": 3, "export": 4}
DEVICE = ("gallery", "edgeapp")
# Rooms of edgeapp/, from the ground up: a module imports from its own room and from those before it.
ROOMS = (
    ("errors", "paths", "file_names", "examples", "foreign", "interruption", "read_once", "folders"),
    ("terminal",),
    ("progress_bar", "progress_line", "species_lists"),
    ("clock", "board"),
    ("audio",),
    ("pack",),
    ("runtime",),
    ("recognition",),
    ("detections",),
    ("journal",),
    ("clips",),
    ("outputs",),
    ("delivery",),
    ("collect",),
    ("archive", "service"),
    ("config",),
    ("station",),
    ("doctor",),
    ("web",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# Decodes with what need not be installed: files, and sources in the network.
FOREIGN = {
    Path("edgeapp/audio/formats/foreign.py"),
    *map(Path, ("edgeapp/audio/microphones/network.py", "edgeapp/audio/microphones/receive.py")),
}
NOTIFYING = {Path("edgeapp/delivery/notify.py")}
PAGE = (Path("edgeapp/config/edit.py"),)  # what only the live page calls, beside its own room
# What only the results of archives need, of a room that `identify` needs as well.
ARCHIVE = {"pyarrow": "archive", "ray": "ray"}
COLLECTED = {"httpx": "collect"}  # what only the room of collections asks archives with
REPORTED = (Path("edgeapp/web/report/archive.py"),)  # an archive's own part of the report
# What sound is compared with. Only these turn it into scores.
SCORES = ("centroids", "directions", "log_odds", "logits", "unit_direction")
SCORED_IN = ("gallery/recognition.py", "gallery/vocabulary.py", "gallery/competition.py")
SCORES_ELSEWHERE = {
    "gallery/search.py Index: centroids",  # makes them
    "trainer/calibrate.py biases: centroids",  # their mean level, from which a bias is fitted
}
# The function that recognises, and what calls it for others.
RECOGNISES = ("gallery.recognise", "gallery.recognition.recognise")  # from the package, from the module
CALLS_IT = {
    "edgeapp.recognition.recogniser.Recogniser": "edgeapp/recognition/recogniser.py",
    "trainer.heard.identified": "trainer/heard.py",
}
RECOGNISING = (
    "edgeapp/archive/files.py",  # identify, archive
    "edgeapp/archive/queries/again.py",  # archive search and archive recognise
    "edgeapp/station/classifier.py",  # listen
    "trainer/evaluate.py",
    "trainer/calibrate.py",
    "export/agreement.py",
)
TRAINING = ("torch", "torchvision", "torchaudio", "open_clip", "transformers", "safetensors", "onnx", "onnxscript")
STRANGERS = Path("edgeapp/audio/names.py")  # knows how other programs name their unfinished files
MOST_LINES = 400
MOST_LETTERS = 69  # of the name of a test
VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?|commons?)($|_)")
# Put together here, so that this file does not hold what it looks for.
ROOTS = tuple(f"/{name}/" for name in ("home", "root", "tmp", "Users", "work"))
MACHINE_PATHS = re.compile("|".join(rf"(?<![\w.<]){root}" for root in ROOTS))
TEXT = {".py", ".md", ".toml", ".csv", ".json", ".txt", ".cfg", ".yml", ".yaml", ".sh", ".svg", ""}


def modules(*packages: str) -> list[Path]:
    """Modules of packages, as paths inside the project."""
    return sorted(path.relative_to(PROJECT) for package in packages for path in (PROJECT / package).rglob("*.py"))


@functools.cache
def read(path: Path) -> str:
    """Text of a file of the project."""
    return (PROJECT / path).read_text(encoding="utf-8")


@functools.cache
def parsed(path: Path) -> ast.Module:
    """Syntax tree of a module."""
    return ast.parse(read(path))


@functools.cache
def imported(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of every import of a module."""
    return tuple(imports(parsed(path)))


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of every absolute import, wherever it stands: functions and type checking included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__", "find_spec"):
                yield node.lineno, str(node.args[0].value)


def top(name: str) -> str:
    return name.partition(".")[0]


def tracked() -> list[Path]:
    """Files under version control."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a checkout: what is tracked is not known")
    return [Path(name) for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


def test_no_import_hides_in_a_function():
    source = """
import numpy as np
from edgeapp import pack
def late():
    if True:
        import trainer.loop
    importlib.import_module("export.pack")
    from . import beside
"""
    assert [name for _, name in sorted(imports(ast.parse(source)))] == [
        "numpy",
        "edgeapp.pack",
        "trainer.loop",
        "export.pack",
    ]


def test_every_package_has_a_floor():
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    assert packages - {"tests"} == set(FLOORS)


@pytest.mark.parametrize("package", FLOORS)
def test_imports_point_downwards(package):
    upwards = [
        f"{path}:{line} imports {name}"
        for path in modules(package)
        for line, name in imported(path)
        if FLOORS.get(top(name), 0) > FLOORS[package] or top(name) in ("tests", "benchmarks", "docs")
    ]
    assert upwards == []


def room_of(name: str) -> str:
    """Room of a module of edgeapp, by its full name; empty for the package itself."""
    return (name.split(".") + [""])[1]


def test_every_module_of_the_device_is_in_a_room():
    rooms = {room_of(full_name(path)) for path in modules("edgeapp")} - {""}
    assert rooms == {room for storey in ROOMS for room in storey}


def test_imports_between_rooms_point_downwards():
    height = {room: level for level, storey in enumerate(ROOMS) for room in storey}
    upwards = []
    for path in modules("edgeapp"):
        own = room_of(full_name(path))
        for line, name in imported(path):
            other = room_of(name)
            if top(name) == "edgeapp" and own and other in height and other != own and height[other] >= height[own]:
                upwards.append(f"{path}:{line} imports {name}")
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions count: a circle that is only late is still one."""
    known = {full_name(path): path for path in modules(*FLOORS)}
    imports_of = {
        module: {found for _, name in imported(path) if (found := module_of(name, known)) and found != module}
        for module, path in known.items()
    }
    try:
        list(graphlib.TopologicalSorter(imports_of).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def full_name(path: Path) -> str:
    """Name under which a module is imported."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def module_of(name: str, known: Container[str]) -> str | None:
    """The module that an imported name is, or is in; None for one that is not the project's."""
    return next((part for part in (name, name.rpartition(".")[0]) if part in known), None)


def scores(tree: ast.Module) -> set[str]:
    """Uses of what sound is compared with, as "function: attribute"; calls alone of logits, which other things have."""
    found = set()
    for part in tree.body:
        nodes = list(ast.walk(part))
        called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            if isinstance(node, ast.alias):
                name = node.name
            elif isinstance(node, ast.Name):
                name = node.id if id(node) in called else ""
            else:
                name = node.attr if isinstance(node, ast.Attribute) else ""
            if name in SCORES and (name != "logits" or id(node) in called):
                found.add(f"{getattr(part, 'name', '<module>')}: {name}")
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def rank(v, i):\n    return (v @ i.centroids['text'].T).softmax()", {"rank: centroids"}),
        ("def rank(v, i):\n    return softmax(i.centroids['text'] @ v)", {"rank: centroids"}),
        ("class Judge:\n    def of(self, v):\n        return self.vocabulary.logits(v)", {"Judge: logits"}),
        ("def rank(v, vocabulary):\n    return vocabulary.directions @ v", {"rank: directions"}),
        ("from gallery.recognition import log_odds", {"<module>: log_odds"}),
        ("import gallery\nodds = gallery.recognition.log_odds(z, 0.0, [])", {"<module>: log_odds"}),
        ("def loss(model, x, logits, directions):\n    return model(x).logits - logits - directions", set()),
    ],
)
def test_a_second_place_that_scores_would_be_found(source, found):
    assert scores(ast.parse(source)) == found


def test_sound_is_scored_in_one_place():
    found = {
        f"{path.as_posix()} {use}"
        for path in modules(*FLOORS, "benchmarks", "docs")
        if path.as_posix() not in SCORED_IN and any(name in read(path) for name in SCORES)
        for use in scores(parsed(path))
    }
    assert found == SCORES_ELSEWHERE


@pytest.mark.parametrize("path", RECOGNISING)
def test_whoever_names_sound_does_it_by_the_one_function(path):
    names = {name for _, name in imported(Path(path))}
    itself = bool(names & set(RECOGNISES))
    assert itself or names & set(CALLS_IT)
    assert not itself or "recognise" in names_of_calls(Path(path))


@pytest.mark.parametrize("path", CALLS_IT.values())
def test_what_recognises_for_others_calls_the_one_function(path):
    assert {name for _, name in imported(Path(path))} & set(RECOGNISES)
    assert "recognise" in names_of_calls(Path(path))


def names_of_calls(path: Path) -> set[str]:
    """Names of the functions that a module calls, without what they are called on."""
    calls = (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def test_the_command_line_names_only_its_own_package():
    """Commands are imported by name, which the syntax tree does not show."""
    from edgeapp.cli import COMMANDS

    assert {top(target) for target in COMMANDS.values()} == {"edgeapp"}


def test_the_gallery_needs_numpy_and_sqlite_alone():
    others = {top(name) for path in modules("gallery") for _, name in imported(path)} - set(sys.stdlib_module_names)
    assert others == {"gallery", "numpy", "sqlite_utils"}


def test_a_device_install_has_all_that_the_device_imports():
    with open(PROJECT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    names = {"PIL": "pillow", "paho": "paho_mqtt", "tomllib": "tomli"}

    def installed(*wanted: str) -> set[str]:
        return {re.split(r"[^\w-]", name)[0].lower().replace("-", "_") for name in wanted}

    def used(paths: Iterable[Path]) -> set[str]:
        found = {top(name) for path in paths for _, name in imported(path)} - {*sys.stdlib_module_names, *DEVICE}
        return {names.get(name, name) for name in found}

    of_page = {path for path in modules("edgeapp") if path in PAGE or path.is_relative_to("edgeapp/web")}
    of_archive = {path for path in modules("edgeapp") if path.is_relative_to("edgeapp/archive") or path in REPORTED}
    of_collection = {path for path in modules("edgeapp") if path.is_relative_to("edgeapp/collect")}
    bare = installed(*project["dependencies"], *extras["cpu"])
    assert used(set(modules(*DEVICE)) - of_page - of_archive - of_collection - FOREIGN - NOTIFYING) <= bare
    assert used(of_collection) <= bare | set(COLLECTED) | set(ARCHIVE)
    assert all(library in installed(*extras[extra]) for library, extra in COLLECTED.items())
    assert used(of_archive) <= bare | set(ARCHIVE) | installed(*extras["web"])
    assert all(library in installed(*extras[extra]) for library, extra in ARCHIVE.items())
    assert used(FOREIGN) <= bare | installed(*extras["formats"])
    assert used(NOTIFYING) <= bare | installed(*extras["notify"])
    assert used(of_page - of_archive) <= bare | installed(*extras["web"])
    assert not (bare | installed(*extras["web"])) & set(TRAINING)


WATCHED = """
import importlib.abc, json, sys

class Watch(importlib.abc.MetaPathFinder):
    asked = set()
    def find_spec(self, name, path=None, target=None):
        self.asked.add(name.partition(".")[0])

sys.meta_path.insert(0, Watch())
from edgeapp.cli import main
seen = sys.argv.pop(1)
try:
    main()
finally:
    with open(seen, "w") as file:
        json.dump({"asked": sorted(Watch.asked), "torch": "torch" in sys.modules}, file)
"""


@pytest.fixture(scope="module")
def clip_and_pack(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("device")
    soundfile.write(folder / "clip.wav", toy.tone(1000), toy.RATE_HZ)
    return folder / "clip.wav", toy.make(folder / "pack")


@pytest.mark.parametrize(
    "words",
    [
        ("identify", "CLIP", "--format", "json", "--pack", "PACK"),
        ("gallery", "list", "--pack", "PACK"),
        ("pack", "verify", "PACK"),
        ("listen", "--help"),
    ],
    ids=lambda words: words[0],
)
def test_the_device_never_asks_for_torch(words, clip_and_pack, tmp_path):
    """Whether or not it is installed here: what is looked for is watched, not only what is found."""
    (clip, pack), seen = clip_and_pack, tmp_path / "seen.json"
    given = {"CLIP": str(clip), "PACK": str(pack)}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(seen), *(given.get(word, word) for word in words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr
    if words[0] == "identify":
        (detection,) = json.loads(done.stdout)["detections"]
        assert detection["taxon"]["scientific_name"] == "Parus major"
    found = json.loads(seen.read_text())
    assert found["torch"] is False
    assert set(found["asked"]) & {*TRAINING, "trainer", "export"} == set()
    assert "edgeapp" in found["asked"]


def test_files_are_replaced_in_one_place():
    """Everything else goes through `gallery.files`, which flushes, keeps permissions, and cleans up."""
    own = Path("gallery/files.py")
    replacing = re.compile(r"\bos\.(replace|rename)\b|\bmkstemp\b|\bNamedTemporaryFile\b|shutil\.move|\.rename\(")
    found = [
        f"{path}:{number} {line.strip()}"
        for path in modules(*FLOORS)
        if path != own
        for number, line in enumerate(read(path).splitlines(), start=1)
        if replacing.search(line) or re.search(r"""\.(part|tmp)["']""", line) and path != STRANGERS
    ]
    assert found == []


def test_databases_are_opened_in_one_place():
    """With the same settings for every connection, and read-only where nothing may be written."""
    found = [path for path in modules(*FLOORS) if "sqlite3.connect(" in read(path)]
    assert found == [Path("gallery/sqlite.py")]


def test_utc_is_written_and_read_in_one_place():
    own = Path("gallery/utc.py")
    copies = re.compile(r"""fromisoformat|utcnow|["']\+00:00["']|%H:%M:%SZ""")
    found = [
        f"{path}:{number} {line.strip()}"
        for path in modules(*FLOORS)
        if path != own
        for number, line in enumerate(read(path).splitlines(), start=1)
        if copies.search(line)
    ]
    assert found == []


def test_lines_on_standard_error_are_printed_in_one_place():
    """Where an import can be interrupted, before anything is loaded, they are printed as they are."""
    found = [path.as_posix() for path in modules(*FLOORS) if re.search(r"file=sys\.stderr|\berr=True", read(path))]
    asking = "edgeapp/commands/web.py"  # for a password, beside standard output
    assert found == ["edgeapp/__main__.py", asking, "edgeapp/terminal.py", "export/__main__.py"]


@pytest.mark.parametrize("package", FLOORS)
def test_a_test_lies_in_the_room_of_what_it_tests(package):
    """A folder of tests is a folder of the package, and `test_x.py` is where `x` is."""
    places: dict[str, set[Path]] = {}
    for path in modules(package):
        subject = path.parent if path.stem == "__init__" else path
        places.setdefault(subject.stem, set()).update([path.parent, subject.parent])
    elsewhere = []
    for path in sorted((PROJECT / "tests" / package).rglob("test_*.py")):
        room = path.parent.relative_to(PROJECT / "tests")
        if not (PROJECT / room).is_dir() or room not in places.get(path.stem.removeprefix("test_"), {room}):
            elsewhere.append(str(path.relative_to(PROJECT)))
    assert elsewhere == []


def test_names_say_what_a_module_is():
    vague = [path for path in tracked() if path.suffix == ".py" and VAGUE.search(path.stem)]
    folders = {path.parent for path in tracked() if path.suffix == ".py" and VAGUE.search(path.parent.name)}
    assert (vague, folders) == ([], set())


def test_the_files_that_begin_the_tests_are_there():
    assert [name for name in LONGEST if not (PROJECT / "tests" / name).is_file()] == []


def test_a_test_says_what_holds_in_few_words():
    long = [
        f"{path}: {name}"
        for path in modules("tests")
        for name in re.findall(r"\bdef (test_\w+)", read(path))
        if len(name) > MOST_LETTERS
    ]
    assert long == []


def test_a_module_fits_in_a_head():
    lines = {path: len(read(path).splitlines()) for path in modules(*FLOORS, "benchmarks", "docs")}
    assert lines and [f"{path} has {n} lines" for path, n in lines.items() if n > MOST_LINES] == []


def test_no_file_names_a_machines_folders():
    found = [
        f"{path}:{number} {line.strip()[:80]}"
        for path in tracked()
        if path.suffix in TEXT
        and path != Path(__file__).relative_to(PROJECT)
        and any(root in read(path) for root in ROOTS)
        for number, line in enumerate(read(path).splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]
    assert found == []
