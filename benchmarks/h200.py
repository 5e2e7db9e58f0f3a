"""An H200 as XLA's GPU compiler wants to be told of it, in its own text format."""

from __future__ import annotations

SCALARS = [(4, 64, 1), (8, 64, 1), (10, 128, 2), (11, 128, 1), (12, 64, 1), (16, 128, 2)]
"""XLA's number of a type, units of a multiprocessor, operations of a unit and clock."""

MATRICES = {
    2: 1024, 6: 1024, 10: 512, 11: 256, 12: 32, 16: 512, 19: 1024, 20: 1024, 23: 1024, 24: 1024,
    25: 1024, 28: 1024, 29: 1024, 33: 1024, 35: 1024, 36: 1024,
}  # fmt: skip
"""The same of the four matrix units: operations of a unit and clock."""

DEVICE: dict[str, str | int | float] = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "shared_memory_per_core": 233472,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2147483647,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "memory_bandwidth": 4800000000000,
    "l2_cache_size": 52428800,
    "clock_rate_ghz": 1.98,
    "device_memory_size": 151397597184,
    "shared_memory_per_block_optin": 232448,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
    "device_vendor": "NVIDIA Corporation",
    "platform_version": "Compute Capability 9.0a",
    "model_str": "sm_9.0a",
    "device_address_bits": 64,
    "pcie_bandwidth": 34359738368,
    "name": "NVIDIA H200 141GB HBM3e",
    "driver_version": "13.0.0",
    "runtime_version": "13.0.0",
    "compile_time_toolkit_version": "13.0.0",
    "dnn_version": "9.10.0",
}


def _rates(name: str, clock: float, rates: list[tuple[int, int, int]]) -> str:
    each = (
        f"rate_infos {{ key: {key} value {{ clock_rate_ghz: {clock} units_per_core: {units} "
        f"ops_per_clock: {ops} }} }}"
        for key, units, ops in rates
    )
    return f"{name} {{ {' '.join(each)} }}"


def _fields(values: dict[str, str | int | float]) -> str:
    words = (f'"{value}"' if isinstance(value, str) else value for value in values.values())
    return "\n".join(f"{key}: {word}" for key, word in zip(values, words, strict=True))


TARGET = f"""gpu_device_info {{
{_fields(DEVICE)}
ecc_enabled: true
cuda_compute_capability {{ major: 9 feature_extension: ACCELERATED_FEATURES }}
{_rates("scalar_unit_description", 1.98, SCALARS)}
{_rates("matrix_unit_description", 1.83, [(key, 4, ops) for key, ops in MATRICES.items()])}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "NVIDIA H200 141GB HBM3e"
"""
