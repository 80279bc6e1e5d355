"""Devices: what is there is used, what is not is refused."""

import pytest
import torch

import tiny
from unpool.errors import UsageError
from unpool.machine import processor
from unpool.machine.device import Machine, choose_machine


def test_the_cpu_in_both_number_types() -> None:
    assert choose_machine("cpu", "float32") == Machine(torch.device("cpu"), reduced=False, pixels_at_once=1 << 17)
    assert choose_machine("cpu", "bfloat16") == Machine(torch.device("cpu"), reduced=True)
    assert choose_machine("auto").device.type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta", ""])
def test_devices_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"device '{name}' \(.+\)\n  expected: auto, cpu, cuda") as refusal:
        choose_machine(name)
    assert "--device" in refusal.value.repair


@pytest.mark.parametrize(("reduced", "kind"), [(False, torch.float32), (True, torch.bfloat16)])
def test_arithmetic_sets_the_number_type_of_convolutions(reduced: bool, kind: torch.dtype) -> None:
    machine = Machine(torch.device("cpu"), reduced)
    network = machine.place(tiny.segmenter().network)
    with machine.arithmetic(), torch.inference_mode():
        assert network(machine.put(torch.zeros(1, 1, 32, 32))).dtype == kind
    assert next(network.parameters()).dtype == torch.float32


def test_batches_are_channels_last() -> None:
    assert tiny.CPU.put(torch.zeros(2, 3, 8, 8)).is_contiguous(memory_format=torch.channels_last)


def test_a_machine_describes_itself() -> None:
    assert tiny.CPU.describe().startswith("cpu, ")
    assert tiny.CPU.describe().endswith("float32")
    assert "bfloat16 convolutions" in Machine(torch.device("cpu"), reduced=True).describe()


def test_the_units_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for query, there in (
        ("_is_amx_tile_supported", False), ("_is_avx512_bf16_supported", True),
        ("_is_avx512_supported", True), ("_is_avx2_supported", True),
    ):  # fmt: skip
        monkeypatch.setattr(torch.cpu, query, lambda there=there: there, raising=False)
    assert processor.units() == ("AVX-512 bfloat16", "AVX-512", "AVX2")
    assert choose_machine("cpu").reduced
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert processor.units() == ("AVX-512", "AVX2")
    assert not choose_machine("cpu").reduced


def test_the_line_of_the_machine_warns_of_slow_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool.machine.device.units", lambda: ("AVX2",))
    monkeypatch.setattr("unpool.machine.device.has_bfloat16_units", lambda: False)
    assert " with AVX2, float32" in choose_machine("cpu", "float32").describe()
    assert (
        "bfloat16 convolutions, 40 to 500 times slower than float32 here"
        in choose_machine("cpu", "bfloat16").describe()
    )
    monkeypatch.setattr("unpool.machine.device.has_bfloat16_units", lambda: True)
    assert choose_machine("cpu", "bfloat16").describe().endswith("bfloat16 convolutions")


def test_the_nearest_cache() -> None:
    assert 1 << 15 <= processor.nearest_cache() <= 1 << 26
