"""Time and memory of `python -m export published` at full size: python benchmarks/published.py FOLDER

Writes random weights of the published sizes in the published layout (HTS-AT with its adapter, ViT-L/14 and the text
tower of BioCLIP 2: 2.4 GB) into the folder, and makes a pack of them with the names of some species. The process is
killed once, in the step that takes most memory, and the same command goes on. A line for each step: processor time and
peak memory, which is that of the step alone. Weights, steps and pack are removed unless --keep is given.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
KILLED_IN = "export image.onnx"
KILLED_AFTER_S = 20.0  # of the step's processor time
RESET_PEAK = "5"  # of /proc/PID/clear_refs: the peak begins anew
LOOK_S = 0.2


@dataclass
class Step:
    """A step of the command, and what it took."""

    name: str
    processor_s: float = 0.0
    peak_mb: float = 0.0


def main() -> None:
    """Write the weights, run the command twice, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--species", type=int, default=300)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--small", action="store_true", help="weights of a few MB, to see that the script works")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    try:
        print(measured(given.folder, given.species, given.precision, given.small))
    finally:
        if not given.keep:
            shutil.rmtree(given.folder)


def measured(folder: Path, species: int, precision: str, small: bool) -> str:
    """The table."""
    subprocess.run(
        [sys.executable, "-c", f"from benchmarks.published import write_weights as w; w({str(folder)!r}, {small})"],
        check=True,
        cwd=PROJECT,
    )
    taxa = table(folder / "species.csv", species)
    command = [sys.executable, "-m", "export", "published", str(folder / "model"), "--taxa", str(taxa)]
    command += ["--out", str(folder / "pack"), "--precision", precision]
    killed = followed(command, KILLED_IN)
    steps = followed(command)
    sizes = {path.name: path.stat().st_size for path in (folder / "pack").iterdir()}
    lines = [f"{'step':44}{'processor':>12}{'peak':>10}"]
    for run, title in ((killed, f"killed in '{KILLED_IN}'"), (steps, "the same command again")):
        lines += [title, *(f"  {one.name:42}{one.processor_s:10.0f} s{one.peak_mb:7.0f} MB" for one in run)]
    every = [*killed, *steps]
    lines.append(
        f"{'all':44}{sum(one.processor_s for one in every):10.0f} s{max(one.peak_mb for one in every):7.0f} MB"
    )
    lines.append(f"pack: {sum(sizes.values()) / 1e6:,.0f} MB, {json.dumps(sizes)}")
    return "\n".join(lines)


def followed(command: list[str], killed_in: str = "") -> list[Step]:
    """Run a command and follow its steps, the lines of its standard error; it may be killed in one of them."""
    steps = [Step("start")]
    lines: list[str] = []
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}
    ) as process:
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        began_s, rest = 0.0, b""
        while process.poll() is None:
            time.sleep(LOOK_S)
            try:
                used_s, peak_mb = used(process.pid)
            except OSError:  # it has just ended
                break
            steps[-1].processor_s, steps[-1].peak_mb = used_s - began_s, max(peak_mb, steps[-1].peak_mb)
            if killed_in and steps[-1].name.startswith(killed_in) and steps[-1].processor_s > KILLED_AFTER_S:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return steps
            *new, rest = (rest + (process.stderr.read() or b"")).split(b"\n")
            for line in new:
                lines.append(line.decode(errors="replace"))
                if line.strip():
                    steps.append(Step(lines[-1].strip()[:42]))
                    began_s = used_s
                    Path(f"/proc/{process.pid}/clear_refs").write_text(RESET_PEAK)
        lines.append((rest + (process.stderr.read() or b"")).decode(errors="replace"))
    if process.returncode:
        raise SystemExit("\n".join(lines))
    return steps


def used(pid: int) -> tuple[float, float]:
    """Processor time in seconds and peak memory in MB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak_kb = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak_kb * 1024 / 1e6


def table(path: Path, species: int) -> Path:
    """A species table with so many of the species whose names come with the program."""
    from edgeapp.pack.names import shipped_species

    with path.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("scientific_name", "common_name", "kingdom", "phylum", "class", "order", "family", "genus"))
        for taxon in shipped_species()[:species]:
            rows.writerow((taxon.scientific_name, taxon.common_name, *taxon.path("genus")))
    return path


def write_weights(folder: str, small: bool = False) -> None:
    """Random weights in the published layout."""
    import torch

    from tests.trainer.published import stirred, write_biovita
    from trainer.models.biovita import FULL, build_biovita

    model = Path(folder) / "model"
    if small:
        write_biovita(model)
        return
    model.mkdir(parents=True)
    torch.manual_seed(0)
    vita = stirred(build_biovita(FULL), seed=0)
    seen = {"mean": list(FULL.mean), "std": list(FULL.std), "interpolation": "bicubic", "resize_mode": "shortest"}
    (model / "open_clip_config.json").write_text(json.dumps({"model_cfg": FULL.clip, "preprocess_cfg": seen}))
    clip = {f"visual.{name}": tensor for name, tensor in vita.image.tower.state_dict().items()}
    clip |= {f"text.{name}": tensor for name, tensor in vita.text.tower.state_dict().items()}
    torch.save({**clip, "logit_scale": torch.tensor(4.6052)}, model / "open_clip_pytorch_model.bin")
    audio = {
        "clap_audio": vita.audio.clap.state_dict(),
        "audio_adapter": {"weight": vita.audio.adapter.weight.detach()},
    }
    torch.save(audio, model / "clap_weights.pth")


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    main()
