"""The benchmark of growth: its points are runs that can be planned, and none is measured twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import growth
from lines import read_lines

import fedast_jax as fx

SETTINGS = {"kind": "digits", "updates": 300, "plan_only": True, "repeat": 0}


def test_points_are_planned_once_and_drawn(tmp_path):
    path, measured = tmp_path / "growth.jsonl", []

    def measure(config, plan_only):
        measured.append(config["num_clients"])
        return growth.measure_here(config, plan_only)

    points = [("clients", 1000), ("clients", 10_000)]
    growth.measure_all(points[:1], SETTINGS, path, measure)
    with path.open("a") as file:
        file.write('{"axis": "clients", "va')  # stopped in the middle of a line
    growth.measure_all(points, SETTINGS, path, measure)
    lines = read_lines(path)
    assert measured == [line["value"] for line in lines] == [1000, 10_000]
    assert all(line["plan_rate"] > 0 and line["fill"] == 300 / 304 for line in lines)
    assert len(growth.draw(lines, "digits").axes) == len(growth.ROWS)


@pytest.mark.parametrize(
    ("axis", "value"), [(name, axis.values[-1]) for name, axis in growth.AXES.items()]
)
def test_the_largest_points_are_configurations(axis, value):
    config = fx.make_config(growth.config_of(axis, value, "digits", 20_000))
    found = {
        "width": config.machine.batch_width,
        "replicates": config.num_seeds,
        "clients": config.num_clients,
        "requests": config.tasks["digits"].num_active,
        "tasks": len(config.named_tasks),
    }
    assert found == growth.BASE | growth.AXES[axis].beside | {axis: value}
