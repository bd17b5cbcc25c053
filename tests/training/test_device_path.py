"""The path to a device: reading ahead, agreeing rarely, compiling; what a GPU needs, on a CPU."""

import dataclasses
import time

import pytest
import timm
import torch

from medaudit.models.encode_batches import LARGEST, choose_batch
from medaudit.training import batches, interruption
from medaudit.training.compilation import compile_blocks, repeated_blocks
from medaudit.training.distributed import Processes, shares_gpu
from medaudit.training.interruption import Interruption
from medaudit.training.precision import gradient_scaler, precision
from medaudit.training.preemption import PreemptionSignal
from medaudit.training.progress import Progress

CPU = torch.device("cpu")
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 12, "depth": 3, "num_heads": 2}


class Due:
    """Checkpoints of which the next one is due when the test says so."""

    now = False

    def due(self):
        return self.now


def decide(monkeypatch, world, step_seconds, steps, others=(0, 0, -1000)):
    """Return the steps at which processes reduced; the clock is the test's."""
    clock, reduced = [0.0], []
    monkeypatch.setattr(interruption.time, "monotonic", lambda: clock[0])

    def all_reduce(values, operation):
        reduced.append(round(clock[0] / step_seconds))
        values.copy_(torch.maximum(values, torch.tensor(others)))

    monkeypatch.setattr(interruption.dist, "all_reduce", all_reduce)
    signal, due = PreemptionSignal(), Due()
    found = Interruption(Processes(0, world, CPU), signal, due)
    decisions = []
    for step in range(1, steps + 1):
        clock[0] = step * step_seconds
        signal.received, due.now = step == steps - 1, step == 2
        decisions.append(found.decide())
    return reduced, decisions


def test_a_single_process_reduces_nothing_and_answers_at_once(monkeypatch):
    reduced, decisions = decide(monkeypatch, 1, 0.5, 8)
    assert reduced == []
    assert [d.stop for d in decisions] == [False] * 6 + [True, False]
    assert [d.save for d in decisions] == [False, True] + [False] * 4 + [True, False]


def test_processes_reduce_every_few_seconds(monkeypatch):
    monkeypatch.delenv("MEDAUDIT_CHECKPOINT_SECONDS", raising=False)
    reduced, decisions = decide(monkeypatch, 2, 0.5, 31)
    assert reduced == [1, 11, 21, 31]
    assert not any(d.stop or d.save for number, d in enumerate(decisions, 1) if number < 31)


def test_steps_longer_than_that_reduce_each_time(monkeypatch):
    reduced, decisions = decide(monkeypatch, 2, 9.0, 5)
    assert reduced == [1, 2, 3, 4, 5]
    assert [(d.stop, d.save) for d in decisions[1:4]] == [(0, 1), (0, 0), (1, 1)]


def test_the_slowest_process_and_any_signal_decide(monkeypatch):
    reduced, decisions = decide(monkeypatch, 2, 0.5, 9, others=(1, 0, -4))
    assert reduced == [1, 5, 9]
    assert all(decisions[number - 1].stop and decisions[number - 1].save for number in reduced)


class Costly:
    """A loss that counts how often it is read."""

    reads = 0

    def __float__(self):
        type(self).reads += 1
        return 0.5


def test_a_loss_is_read_for_lines_of_the_log_alone(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = Progress("p", 100, 0, 4, shown=True)
    for step in range(100):
        clock[0] = float(step)
        progress.update(step / 10, Costly())
    assert Costly.reads == 100 // 15 + 1  # every 15 s, and the last one
    hidden = Progress("p", 5, 0, 4, shown=False)
    for _ in range(5):
        hidden.update(0.0, Costly())
    assert Costly.reads == 100 // 15 + 1


@dataclasses.dataclass
class Pair:
    first: object
    second: object


def test_tensors_on_a_device_are_found_in_what_jobs_return(monkeypatch):
    class Fake(torch.Tensor):
        is_cuda = True

    one, two, three = (torch.zeros(2).as_subclass(Fake) for _ in range(3))
    found = list(batches.tensors_of((one, [torch.zeros(1), Pair(two, 7)], Pair("x", (three,)))))
    assert [id(tensor) for tensor in found] == [id(one), id(two), id(three)]


class FakeStream:
    """Records the order of what a stream is asked for."""

    def __init__(self, log, name):
        self.log, self.name = log, name

    def record_event(self):
        return FakeEvent(self.log, self.name)

    def wait_event(self, event):
        self.log.append(("wait", self.name, event.name))


class FakeEvent(FakeStream):
    def synchronize(self):
        self.log.append(("synchronize", self.name))


def test_jobs_run_on_a_stream_of_their_own_and_the_consumer_waits_for_it(monkeypatch):
    """The order of CUDA calls, with streams that only record them."""
    from contextlib import contextmanager

    log: list = []
    inside: list = []

    @contextmanager
    def stream(one):
        inside.append(one.name)
        yield
        inside.append("left")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream(log, "own"))
    monkeypatch.setattr(torch.cuda, "stream", stream)
    consumer = FakeStream(log, "consumer")
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: consumer)
    jobs = [lambda number=number: torch.tensor([number]) for number in range(6)]
    found = [t.item() for t in batches.read_ahead(jobs, 1, torch.device("cuda", 0))]
    assert found == list(range(6))
    assert inside == ["own", "left"] * 6
    assert log.count(("wait", "consumer", "own")) == 6
    assert log.count(("synchronize", "consumer")) == 6 - batches.LAUNCHED


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("vit_tiny_patch16_224", SMALL, 3),
        ("resnet26", {}, 8),
        ("swin_tiny_patch4_window7_224", {}, 4),
    ],
)
def test_repeated_blocks_are_found(name, arguments, expected):
    model = timm.create_model(name, num_classes=0, **arguments)
    blocks = list(repeated_blocks(model))
    assert len(blocks) == expected
    inside = {id(p) for block in blocks for p in block.parameters()}
    share = sum(p.numel() for p in model.parameters() if id(p) in inside)
    assert share > 0.5 * sum(p.numel() for p in model.parameters())


def failing(graph, inputs):
    raise RuntimeError("no compiler here")


@pytest.mark.parametrize("backend", ["eager", failing])
def test_compiled_or_not_gradients_and_names_are_the_same(backend):
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=2, **SMALL)
    x, names = torch.randn(2, 3, 32, 32), list(model.state_dict())
    gradients = []
    for compiled in (False, True):
        if compiled:
            assert compile_blocks(model, backend) == 3
        model.zero_grad()
        model(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-7)
    assert list(model.state_dict()) == names


def test_each_rate_of_drop_path_is_compiled():
    variants = [0]

    def count(graph, inputs):
        variants[0] += 1
        return graph.forward

    arguments = {**SMALL, "depth": 12, "drop_path_rate": 0.2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=2, **arguments)
    torch._dynamo.reset()
    compile_blocks(model, count)
    model.train()(torch.randn(2, 3, 32, 32)).sum().backward()
    assert variants[0] == 12


def test_older_cards_compute_in_float16_with_a_scaler(monkeypatch):
    native = [True]
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: native[0] or including_emulation,
    )
    gpu = torch.device("cuda", 0)
    assert precision(gpu)[0] == "bfloat16"
    assert not gradient_scaler(gpu).is_enabled()
    native[0] = False
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert precision(gpu)[0] == "float16"
    assert gradient_scaler(gpu).is_enabled()
    assert precision(CPU)[0] == "float32"


def test_more_processes_than_cards_do_not_use_nccl(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for processes, shared in (("2", True), ("1", False)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert shares_gpu() is shared
    monkeypatch.delenv("LOCAL_WORLD_SIZE")  # srun: every task may see a card of its own
    assert shares_gpu() is False


@pytest.mark.parametrize("limit", [1, 2, 3, 40, 700, 1024, 5000])
def test_the_batch_is_the_largest_power_of_two_with_room_for_as_much_again(limit):
    asked = []

    def fit(count):
        asked.append(count)
        return count <= limit

    size = choose_batch(fit)
    powers = [2**k for k in range(20) if 2**k <= LARGEST and 2 ** (k + 1) <= limit]
    assert size == max(powers, default=1)
    assert max(asked) == 2 * LARGEST
