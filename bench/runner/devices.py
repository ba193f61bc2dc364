"""The devices that runs are spread over, and the number that each takes at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fewbench.errors import BenchError
from fewbench.runner.footprint import gpu_bytes
from fewbench.runner.jobs import Work

Rooms = Mapping[str, int]
"""The number of works that each device takes at a time."""

KEPT_FREE = 0.2
"""The share of a device's free memory that is left alone when runs are counted by memory."""


def choose_device(name: str) -> str:
    """Return the one device that a name stands for: for `auto`, a GPU where there is one.

    What is computed there in single precision, in this process, is so from then on.

    Raises:
        BenchError: there is no such device.
    """
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BenchError(
            f"unknown device '{name}'", allowed="auto, cpu, cuda, cuda:0", fix="--device auto"
        ) from error
    indices = {"cpu": 1, "cuda": torch.cuda.device_count()}
    if (device.index or 0) >= indices.get(device.type, 0):
        raise BenchError(
            f"there is no device '{name}' here",
            allowed=["auto", "cpu"],
            fix="bench doctor shows devices",
        )
    return name


def choose_devices(name: str) -> tuple[str, ...]:
    """Return the devices that a name stands for: all GPUs for `cuda`, and for `auto` if any.

    Raises:
        BenchError: there is no such device.
    """
    import torch

    device = choose_device(name)
    if device != "cuda":
        return (device,)
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def check_counts(workers: int | None, per_device: int | None, device: str) -> None:
    """Refuse numbers of runs at a time that contradict each other or the device.

    Raises:
        BenchError: both numbers are given, or `per_device` on the CPU.
    """
    if per_device is None:
        return
    if workers is not None:
        raise BenchError(
            f"--workers {workers} and --per-device {per_device} are both given",
            allowed="--workers counts the runs on all devices, --per-device those on each GPU",
            fix=f"--per-device {per_device}",
        )
    if device == "cpu":
        raise BenchError(
            f"--per-device {per_device} is for GPUs, and the runs are on the CPU",
            fix=f"--workers {per_device}, or --device cuda",
        )


def make_rooms(
    device: str,
    works: Sequence[Work],
    *,
    workers: int | None,
    per_device: int | None,
    cores: int,
) -> Rooms:
    """Return the number of works that each device takes at a time.

    Args:
        device: `cpu`, `cuda` (all GPUs), `cuda:1`, or `auto`.
        works: what is to be done.
        workers: works at a time on all devices together. None for one per core on the CPU, and for
            as many on each GPU as its free memory has room for, by the largest of the works, with
            at most one per core in all.
        per_device: works at a time on each GPU.
        cores: of the processor.

    Raises:
        BenchError: there is no such device, or `check_counts`.
    """
    devices = choose_devices(device)
    check_counts(workers, per_device, devices[0])
    if devices[0] == "cpu":
        return {"cpu": workers or cores}
    if per_device is not None:
        return dict.fromkeys(devices, per_device)
    if workers is not None:
        return spread(dict.fromkeys(devices, workers), workers)
    need = max(map(gpu_bytes, works), default=1)
    places = [max(1, int(free * (1 - KEPT_FREE) / need)) for free in free_memory(devices)]
    room = dict(zip(devices, places, strict=True))
    return spread(room, max(len(devices), cores))


def spread(room: Rooms, total: int) -> Rooms:
    """Deal `total` places out to devices in turn, to none more than it has room for."""
    given = dict.fromkeys(room, 0)
    while total > 0 and (open_ones := [device for device in room if given[device] < room[device]]):
        for device in open_ones[:total]:
            given[device] += 1
        total -= len(open_ones)
    return {device: count for device, count in given.items() if count}


def free_memory(devices: Sequence[str]) -> list[int]:
    """Return the bytes that are free on each of some GPUs.

    A process of its own asks: whoever asks holds some hundred MB of each GPU until it ends.

    Raises:
        BenchError: the driver does not tell.
    """
    from concurrent.futures import ProcessPoolExecutor

    from fewbench.runner.processes import get_ready

    try:
        with ProcessPoolExecutor(1, mp_context=get_ready()) as process:
            return list(process.map(free_bytes, devices))
    except Exception as error:
        raise BenchError(
            f"the free memory of {', '.join(devices)} cannot be read: {error}",
            fix="--per-device 1",
        ) from error


def free_bytes(device: str) -> int:
    """Return the bytes that are free on a GPU."""
    import torch

    return int(torch.cuda.mem_get_info(device)[0])
