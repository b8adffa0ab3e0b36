"""Watts, from copies of the folders in which kernels tell them."""

from __future__ import annotations

import time

import pytest

from edgeapp.board.power import Counter, Draw, power_meter


@pytest.fixture
def sysfs(tmp_path):
    def write(**files):
        for path, value in files.items():
            at = tmp_path / path.replace("__", "/")
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text(f"{value}\n")
        return tmp_path

    return write


def ina3221(hwmon, **rails):
    files = {f"class__hwmon__{hwmon}__name": "ina3221"}
    for number, (label, (millivolt, milliampere)) in enumerate(rails.items(), start=1):
        at = f"class__hwmon__{hwmon}__"
        files |= {f"{at}in{number}_label": label, f"{at}in{number}_input": millivolt}
        files[f"{at}curr{number}_input"] = milliampere
    return files


def test_a_machine_that_tells_nothing_has_no_meter(sysfs):
    assert power_meter(sysfs(class__hwmon__hwmon0__name="coretemp")) is None
    with Draw(None) as draw:
        pass
    assert draw.watts is None


def test_an_orin_nano_draws_what_its_input_rail_says(sysfs):
    folder = sysfs(**ina3221("hwmon1", VDD_IN=(5000, 1200), VDD_CPU_GPU_CV=(5000, 400), VDD_SOC=(5000, 300)))
    meter = power_meter(folder)
    assert meter.name == "INA3221 VDD_IN"
    assert meter.joules(2.0) == pytest.approx(12.0)  # 6 W for two seconds


def test_an_agx_orin_draws_the_sum_of_its_rails(sysfs):
    folder = sysfs(
        **ina3221("hwmon3", VDD_GPU_SOC=(19_000, 200), VDD_CPU_CV=(19_000, 100), VIN_SYS_5V0=(5000, 1000)),
        **ina3221("hwmon4", NC=(0, 0), VDDQ_VDD2_1V8AO=(1800, 0)),
    )
    assert power_meter(folder).joules(1.0) == pytest.approx(3.8 + 1.9 + 5.0)


def test_any_sensor_of_microwatts_will_do(sysfs):
    folder = sysfs(class__hwmon__hwmon0__name="rpi_pmic", class__hwmon__hwmon0__power1_input=4_500_000)
    meter = power_meter(folder)
    assert (meter.name, meter.joules(1.0)) == ("rpi_pmic power1_input", pytest.approx(4.5))


def test_a_counter_counts_over_its_end(tmp_path):
    path = tmp_path / "energy_uj"
    path.write_text("900000\n")
    counter = Counter("package-0", path, 1_000_000)
    path.write_text("950000\n")
    assert counter.joules(1.0) == pytest.approx(0.05)
    path.write_text("100000\n")
    assert counter.joules(1.0) == pytest.approx(0.15)


def test_a_counter_that_may_not_be_read_is_passed_over(sysfs):
    at = "class__powercap__intel-rapl:0__"
    folder = sysfs(**{f"{at}name": "package-0", f"{at}max_energy_range_uj": 10**9, f"{at}energy_uj": 5})
    assert power_meter(folder).name == "RAPL package-0"
    (folder / "class/powercap/intel-rapl:0/energy_uj").unlink()
    assert power_meter(folder) is None


def test_the_draw_is_a_mean_over_time(sysfs):
    folder = sysfs(class__hwmon__hwmon0__name="board", class__hwmon__hwmon0__power1_input=2_000_000)
    with Draw(power_meter(folder)) as draw:
        time.sleep(0.25)
    assert draw.watts == pytest.approx(2.0, rel=0.01)
