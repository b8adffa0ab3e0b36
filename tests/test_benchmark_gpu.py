"""`benchmarks/gpu.py` on a processor: every step in its smallest size, and what becomes of a run that goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu import Run
from benchmarks.gpu_steps import plan, wheels
from benchmarks.gpu_steps.plan import NAMES, Settings
from benchmarks.gpu_steps.process import environment, run_step
from benchmarks.gpu_steps.result import Missing, Report, Row, StepResult, markdown, read_rows
from tests.conftest import PROJECT

pytestmark = pytest.mark.timeout(1500)  # a whole run, of which each step imports torch anew

BROKEN = {
    "raises": ('raise RuntimeError("no such symbol")', "ended with exit code 1 (RuntimeError: no such symbol)"),
    "is-killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
}


def words_of(out: Path, *words: str) -> list[str]:
    script = str(PROJECT / "benchmarks" / "gpu.py")
    return [sys.executable, script, "--tiny", "--device", "cpu", "--out", str(out), *words]


def run(out: Path, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The script on synthetic sounds; `path` comes before everything else that is imported."""
    given = {**os.environ, "BIOVITA_SHARED": str(out / "nothing"), "PYTHONPATH": str(path or "")}
    return subprocess.run(words_of(out, *words), capture_output=True, text=True, env=given)


def steps_of(out: Path) -> dict[str, dict]:
    document = json.loads((out / "gpu.json").read_text(encoding="utf-8"))
    return {step["name"]: step for step in document["steps"]}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A whole run: what the process gave, and its folder."""
    for step in plan.STEPS:
        if lacks := plan.missing(step):
            pytest.skip(f"{', '.join(lacks)} missing")
    out = tmp_path_factory.mktemp("gpu")
    return run(out, "--minutes", "20"), out


@pytest.mark.slow
def test_every_step_is_done_on_a_processor(complete):
    done, out = complete
    steps = steps_of(out)
    assert list(steps) == list(NAMES)
    wrong = {name: (step["status"], step["reason"]) for name, step in steps.items() if step["status"] != "done"}
    assert not wrong, (out / "gpu.log").read_text(encoding="utf-8", errors="replace")[-3000:]
    assert all(row["status"] == "done" for step in steps.values() for row in step["rows"])
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_both_stages_are_held_against_the_plain_loop(complete):
    rows = {row["what"]: row["figures"] for row in steps_of(complete[1])["training"]["rows"]}
    for stage, asked in (("1", 3.0), ("2", 10.0)):
        plain, own = rows[f"stage {stage}, straightforward"], rows[f"stage {stage}, this project"]
        assert own["ratio"] == pytest.approx(own["samples_per_s"] / plain["samples_per_s"])
        assert own["asked"] == asked
        for figures in (plain, own):
            assert 0.0 <= figures["waiting"] < 1.0 and figures["of_peak"] > 0.0


@pytest.mark.slow
def test_encoders_are_timed_and_compared(complete):
    steps = steps_of(complete[1])
    for name, window_s in (("htsat", {"": 2.0}), ("providers", {"starter": 10.0, "tiny": 2.0})):
        for row in steps[name]["rows"]:
            figures = row["figures"]
            (length,) = (seconds for prefix, seconds in window_s.items() if row["what"].startswith(prefix))
            assert figures["times_real_time"] == pytest.approx(length * figures["windows_per_s"])
            assert figures["least_cosine"] >= 0.99
    assert [row["what"] for row in steps["htsat"]["rows"]][-1].startswith("bf16, compiled")
    packs = {f"{size}-{precision}" for size in ("starter", "tiny") for precision in ("fp32", "fp16", "int8")}
    assert {row["what"].split(",")[0] for row in steps["engines"]["rows"]} == packs
    assert all(row["figures"]["seen"] == "built, not run" for row in steps["engines"]["rows"])
    assert [row["what"] for row in steps["decisions"]["rows"]] == ["fp32 on cpu", "fp16 on cpu", "int8 on cpu"]


@pytest.mark.slow
def test_the_table_has_every_row_of_the_document(complete):
    done, out = complete
    assert done.stdout.strip() == (out / "gpu.md").read_text(encoding="utf-8").strip()
    for name, step in steps_of(out).items():
        for row in step["rows"]:
            assert f"| {name} | {row['what']} | " in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("how", BROKEN)
def test_after_a_step_that_dies_the_others_run(tmp_path, how):
    source, reason = BROKEN[how]
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "transformers.py").write_text(source, encoding="utf-8")
    done = run(tmp_path / "out", "--steps", "card,htsat,providers", path=broken)
    steps = steps_of(tmp_path / "out")
    assert (steps["htsat"]["status"], steps["htsat"]["reason"]) == ("failed", reason)
    assert steps["card"]["status"] == steps["providers"]["status"] == "done"
    rows = {row["what"]: row["status"] for row in steps["providers"]["rows"]}
    assert rows["starter-fp32 on cpu"] == "done" and rows["tiny-fp32 on cpu"] == "skipped"  # nobody made it
    assert done.returncode == 1 and reason in done.stdout


def test_a_step_that_hangs_is_stopped(tmp_path):
    (tmp_path / "torch.py").write_text("import time; time.sleep(600)", encoding="utf-8")
    settings = Settings("cpu", True, None, tmp_path)
    result = StepResult("card", "The card", limit_s=1.0)
    run_step(result, settings, environment(settings, tmp_path), tmp_path / "log", lambda: None)
    assert (result.status, result.reason) == ("failed", "stopped after 1 s, the time limit of the step")


def test_a_step_ends_with_the_process_that_began_it(tmp_path):
    (tmp_path / "torch.py").write_text("import time; time.sleep(600)", encoding="utf-8")
    settings = Settings("cpu", True, None, tmp_path)
    begins = f"""if True:
        import os, signal, subprocess, sys
        words = ["card", {settings.to_json()!r}, {str(tmp_path / "rows.json")!r}, str(os.getpid())]
        subprocess.Popen([sys.executable, "-m", "benchmarks.gpu_steps", *words])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    # Its output ends when the step, which holds it too, is gone.
    given = environment(settings, tmp_path)
    done = subprocess.run([sys.executable, "-c", begins], capture_output=True, env=given, timeout=300)
    assert done.returncode == -signal.SIGKILL


def in_the_background() -> None:
    """As a shell starts a program with an & behind it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_run_keeps_what_it_measured(tmp_path, number):
    (tmp_path / "transformers.py").write_text("import time; time.sleep(600)", encoding="utf-8")
    given = {**os.environ, "PYTHONPATH": str(tmp_path)}
    words = words_of(tmp_path, "--steps", "card,htsat", "--minutes", "20")
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env=given, preexec_fn=in_the_background)
    while not ((tmp_path / "gpu.json").is_file() and steps_of(tmp_path)["card"]["status"] == "done"):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    told, said = process.communicate(timeout=300)
    assert process.returncode == 130 and "interrupted" in said
    assert "product of bf16 matrices" in told
    assert steps_of(tmp_path)["card"]["status"] == "done"


@pytest.mark.slow
def test_without_a_gpu_cuda_is_refused_and_exits_one(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = run(tmp_path, "--device", "cuda", "--steps", "card")
    assert done.returncode == 1
    assert "finds no CUDA device; choose --device cpu" in steps_of(tmp_path)["card"]["reason"]


def wheel(folder: Path, package: str, tag: str, version: str = "1.0") -> Path:
    """A wheel of one module that holds its version."""
    path = folder / f"{package}-{version}-{tag}.whl"
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{package}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_wheels_are_unpacked_and_those_that_do_not_fit_named(tmp_path):
    for folder in ("one", "other", "empty"):
        (tmp_path / folder).mkdir()
    wheel(tmp_path / "one", "fits", "py3-none-any")
    wheel(tmp_path / "other", "fits", "py3-none-any", "2.0")
    unfit = wheel(tmp_path / "other", "unfit", "cp27-cp27m-win32")
    folders = [tmp_path / name for name in ("one", "other", "empty")]
    lines = wheels.unpack(folders, tmp_path / "into")
    assert "2.0" in (tmp_path / "into" / "fits.py").read_text(encoding="utf-8")
    assert len(lines) == 2 and lines[0] == f"{tmp_path / 'empty'}: contains no wheels"
    assert lines[1].startswith("no compatible wheel for Python") and lines[1].endswith(unfit.name)
    assert not (tmp_path / "into" / "unfit.py").exists()


@pytest.mark.slow
def test_a_step_finds_the_packages_of_a_wheel(tmp_path):
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "transformers", "py3-none-any")  # in place of the installed one
    unfit = wheel(tmp_path / "wheels", "unfit", "cp27-cp27m-win32")
    done = run(tmp_path / "out", "--steps", "htsat", "--wheels", str(tmp_path / "wheels"))
    assert "module 'transformers' has no attribute 'ClapAudioConfig'" in steps_of(tmp_path / "out")["htsat"]["reason"]
    assert done.returncode == 1
    assert any(unfit.name in note for note in json.loads((tmp_path / "out" / "gpu.json").read_text())["notes"])


def test_what_is_missing_is_said_by_the_name_to_install():
    step = plan.Step("made-up", "", ("json", "no_such_module", "open_clip|json", "neither|nor"), 1)
    assert plan.missing(step) == ["no_such_module", "neither or nor"]


def test_a_step_that_runs_packs_brings_the_one_that_makes_them():
    assert [step.name for step in plan.chosen(["engines", "card"])] == ["card", "packs", "engines"]
    assert [step.name for step in plan.chosen(["htsat"])] == ["htsat"]


def test_what_a_step_leaves_of_its_time_goes_to_those_after_it():
    steps = plan.chosen(NAMES)
    assert sum(plan.limit_s(step, steps, 100.0) for step in steps) == pytest.approx(100.0)
    assert plan.limit_s(steps[-1], steps[-1:], 100.0) == 100.0


@pytest.mark.parametrize(
    ("device", "states", "status"),
    [
        pytest.param("cpu", ["done", "done"], 0, id="all-done"),
        pytest.param("cpu", ["done", "skipped"], 0, id="skipped-on-a-processor"),
        pytest.param("cuda", ["done", "skipped"], 1, id="skipped-on-a-gpu"),
        pytest.param("cuda", ["done", "done"], 0, id="all-done-on-a-gpu"),
        pytest.param("cpu", ["failed", "done"], 1, id="failed"),
        pytest.param("cpu", ["skipped", "skipped"], 1, id="nothing-measured"),
        pytest.param("cpu", ["done", "waiting"], 1, id="cut-off"),
    ],
)
def test_exit_status(tmp_path, device, states, status):
    run = Run(plan.chosen(["card", "htsat"]), Settings(device, True, None, tmp_path), tmp_path, [])
    for result, state in zip(run.results, states, strict=True):
        result.status = state
    assert run.status() == status


def test_an_error_costs_its_row_alone(tmp_path):
    report = Report(tmp_path / "rows.json")
    with report.measuring("wrong"):
        raise ValueError("too\nfar off")
    with report.measuring("not here"):
        raise Missing("no such package")
    with report.measuring("right") as figures:
        figures["windows_per_s"] = 12.0
    result = StepResult("htsat", "HTS-AT", rows=read_rows(tmp_path / "rows.json"))
    result.settle("")
    assert [row.text() for row in result.rows] == [
        "failed: ValueError: too far off",
        "skipped: no such package",
        "12 windows/s",
    ]
    assert (result.status, result.reason) == ("failed", "ValueError: too far off")


@pytest.mark.parametrize(
    ("states", "reason", "status"),
    [
        pytest.param(["done", "skipped"], "", "done", id="something-done"),
        pytest.param(["skipped"], "", "skipped", id="all-skipped"),
        pytest.param(["done"], "killed by SIGSEGV", "failed", id="crashed-after-a-row"),
        pytest.param(["done", "running"], "killed by SIGSEGV", "failed", id="crashed-in-a-row"),
        pytest.param([], "", "failed", id="measured-nothing"),
    ],
)
def test_how_a_step_ended(states, reason, status):
    result = StepResult("htsat", "HTS-AT", rows=[Row("row", state) for state in states])
    result.settle(reason)
    assert result.status == status
    assert all(row.status != "running" for row in result.rows)


def test_the_table_says_why_a_step_has_no_figures():
    steps = [
        StepResult("card", "The card", "done", "", 3.0, 20.0, [Row("name", "done", {"seen": "Card | 1"})]),
        StepResult("engines", "TensorRT", "skipped", "tensorrt missing"),
    ]
    table = markdown(steps, {"device": "cuda"})
    assert "| card | name | Card \\| 1 |" in table
    assert "| **engines** | TensorRT | **skipped**: tensorrt missing |" in table


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["--steps", "card,nothing"], "unknown step 'nothing'", id="step"),
        pytest.param(["--minutes", "0"], "--minutes must be greater than 0", id="minutes"),
        pytest.param(["--wheels", "nowhere"], "nowhere: not a folder", id="wheels"),
        pytest.param(["--recordings", "{tmp}"], "contains no sound files", id="recordings"),
    ],
)
def test_a_wrong_call_exits_two_with_one_line(tmp_path, words, told):
    done = run(tmp_path, *(word.format(tmp=tmp_path) for word in words))
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr
