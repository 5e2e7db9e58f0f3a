"""Devices without being asked: cores that the process may use, and what a run makes of them."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import jax
import numpy as np
import pytest

import fedast_jax as fx
from fedast_jax.cli.job import Job
from fedast_jax.config import cores
from fedast_jax.config.errors import ResumeError
from fedast_jax.engine import devices
from fedast_jax.run.checkpoint import Checkpoints
from fedast_jax.run.cluster.address import Address
from fedast_jax.run.cluster.processes import Place
from fedast_jax.run.cluster.ray_tasks import RayTasks
from fedast_jax.run.devices import settle, suitable
from fedast_jax.run.resolve import make_config
from fedast_jax.tasks import own

DIGITS = {"digits": {"num_active": 6, "buffer_size": 2, "samples_per_client": 20}}
TABLE = {"num_clients": 30, "max_updates": 60, "tasks": DIGITS}


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_quotas_of_a_control_group_and_those_around_it(tmp_path: Path):
    write(tmp_path, "own", "0::/jobs/mine\n")
    write(tmp_path, "fs/jobs/mine/cpu.max", "max 100000\n")
    write(tmp_path, "fs/jobs/cpu.max", "250000 100000\n")
    write(tmp_path, "fs/cpu.max", "800000 100000\n")
    write(tmp_path, "cpu.max", "100000 100000\n")  # outside of where they are mounted
    assert list(cores.quotas(tmp_path / "fs", tmp_path / "own")) == [2.5, 8.0]


def test_the_quotas_of_version_1(tmp_path: Path):
    write(tmp_path, "own", "5:memory:/a\n4:cpu,cpuacct:/mine\n")
    write(tmp_path, "fs/cpu/mine/cpu.cfs_quota_us", "150000\n")
    write(tmp_path, "fs/cpu/mine/cpu.cfs_period_us", "100000\n")
    write(tmp_path, "fs/cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path, "fs/cpu/cpu.cfs_period_us", "100000\n")
    assert list(cores.quotas(tmp_path / "fs", tmp_path / "own")) == [1.5]


def test_no_control_groups(tmp_path: Path):
    assert list(cores.quotas(tmp_path, tmp_path / "own")) == []


@pytest.mark.parametrize(("quotas", "number"), [([], 8), ([2.5, 16.0], 2), ([0.5], 1)])
def test_cores_are_what_affinity_and_quotas_leave(monkeypatch, quotas, number):
    monkeypatch.setattr(cores, "_affine_cores", lambda: 8)
    monkeypatch.setattr(cores, "quotas", lambda root, own: iter(quotas))
    assert cores.usable_cores() == number


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({}, 2),  # of the 6 in flight a third can be trained at once
        ({"num_seeds": 2}, 4),
        ({"num_seeds": 9}, 8),
        ({"num_seeds": 9, "machine": {"batch_width": 12}}, 6),
        ({"num_seeds": 9, "machine": {"batch_width": 7}}, 7),
        ({"tasks": {"digits": {"num_active": 1, "buffer_size": 1}}}, 1),
    ],
)
def test_at_most_what_the_width_is_filled_by_and_divided_by(change, number):
    assert suitable([make_config({**TABLE, **change})], 8) == number


def test_configurations_that_name_devices_keep_them():
    open_, two = (make_config({**TABLE, "machine": each}) for each in ({}, {"num_devices": 2}))
    numbers = [config.machine.num_devices for config in settle([open_, two], lambda: 1)]
    assert numbers == [2, 2]
    assert settle([two], lambda: 1) == [two]


def test_a_run_uses_every_core_and_says_so(monkeypatch):
    """Two here: so say the configuration of the result, the manifest and the table of a study."""
    monkeypatch.setattr(devices, "usable_cores", lambda: 2)
    result = fx.simulate(TABLE)
    assert result.config.machine.num_devices == result.manifest()["num_devices"] == 2
    assert result.manifest()["batch_width"] == 32
    assert fx.simulate(TABLE, overrides=["machine.num_devices=1"]).manifest()["num_devices"] == 1
    job = Job("study", [make_config(TABLE)], {"save": []}, TABLE).settled(None)
    assert job.settings["machine"] == {"num_devices": 2}
    assert job.configs[0].machine.num_devices == 2


def test_a_study_names_its_devices():
    study = fx.compare(TABLE, ["fedast:static", "fedast:dynamic"])
    assert study.table["machine"] == {"num_devices": 1}
    assert [variant.config.machine.num_devices for variant in study.variants] == [1, 1]


def test_fewer_devices_than_cores_are_told_once(monkeypatch, capsys):
    """JAX has begun to compute, and nobody has told it how many."""
    monkeypatch.setattr(devices, "usable_cores", lambda: 64)
    monkeypatch.setattr(devices, "is_told", lambda: False)
    config = make_config({**TABLE, "num_seeds": 40})
    for _ in range(2):
        assert settle([config])[0].machine.num_devices == jax.local_device_count() == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert 'call jax.config.update("jax_num_cpu_devices", 64) before' in said
    assert "set machine.num_devices=4" in said
    monkeypatch.setattr(devices, "is_told", lambda: True)
    assert devices.find_devices() == (4, 4)


def test_a_run_goes_on_with_the_devices_it_began_with(monkeypatch, tmp_path: Path):
    """Wherever: the checkpoint says how many; one that names others is another run."""
    table = {**TABLE, "max_updates": 300, "machine": {"checkpoint_seconds": 0.0, "batch_width": 4}}
    monkeypatch.setattr(devices, "usable_cores", lambda: 2)
    calls = count()
    first = fx.simulate(
        table, checkpoints=Checkpoints(tmp_path), is_stopped=lambda: next(calls) > 3
    )
    assert first.status == "interrupted"
    monkeypatch.setattr(devices, "usable_cores", lambda: 1)
    with pytest.raises(ResumeError, match="belong to other settings"):
        fx.simulate(table, overrides=["machine.num_devices=1"], checkpoints=Checkpoints(tmp_path))
    rest = fx.simulate(table, checkpoints=Checkpoints(tmp_path))
    assert (rest.status, rest.config.machine.num_devices) == ("finished", 2)


@pytest.mark.parametrize(
    ("host", "number"), [("127.0.0.1", 2), ("localhost", 2), ("::1", 2), ("10.0.0.7", 5)]
)
def test_processes_of_one_machine_share_its_cores(monkeypatch, host, number):
    monkeypatch.setattr("fedast_jax.run.cluster.processes.find_devices", lambda: (5, 5))
    assert Place(Address(host, 6000), 2, 0).find_devices() == number


@pytest.mark.parametrize(
    ("cpus", "gpus", "number"), [(1, 0, 1), (3.5, 0, 3), (0.5, 0, 1), (8, 2, 2)]
)
def test_a_block_on_ray_has_a_device_for_each_of_its_cpus(cpus, gpus, number):
    assert RayTasks(None, cpus, gpus).find_devices() == number


@pytest.mark.parametrize(("told", "asked"), [(False, [5]), (True, [])])
def test_cores_are_offered_unless_a_number_was_told(monkeypatch, told, asked):
    given = []
    monkeypatch.setattr(cores, "usable_cores", lambda: 5)
    monkeypatch.setattr(cores, "is_told", lambda: told)
    monkeypatch.setattr(cores, "divide_cpu", given.append)
    cores.offer_cores()
    assert given == asked


def test_an_own_task_offers_the_cores_before_it_tries_its_model(monkeypatch):
    """Else JAX would begin with one device, and the runs that follow would have no other."""
    order = []
    monkeypatch.setattr(own, "offer_cores", lambda: order.append("cores"))

    def init(key):
        order.append("model")
        return {"kernel": jax.numpy.zeros((3, 2))}

    x, y = np.ones((8, 3), np.float32), np.arange(8) % 2
    model = init, lambda params, x: x @ params["kernel"]
    fx.Task.from_arrays(train=(x, y), test=(x, y), model=model, clients=fx.iid(4))
    assert order[:2] == ["cores", "model"]
