"""Train all seeds and learning rates of a job: one after the other, or several in turn.

A small training set does not keep a GPU busy: between two steps of one training it waits for the
processor, and every job loads libraries and weights again. With ``together: n`` a job advances n
trainings in turn, one step of each. No training notices the others: each has its own copy of the
tuned weights, optimizer, batches and random numbers (seeded by seed and step), so that its numbers
are those of a job of its own, to the last bit on a CPU.
"""

from collections.abc import Iterator

from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune.trainers import find_trainer
from medaudit.adapt.finetune.training_loop import Step, train_steps
from medaudit.adapt.finetune.trial import Trial, TrialData, TrialKey
from medaudit.adapt.finetune_settings import FinetuneSettings
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.compilation import compile_blocks
from medaudit.training.distributed import Processes, exit_all_processes
from medaudit.training.interruption import Interruption
from medaudit.training.preemption import PreemptionSignal
from medaudit.training.progress import Progress


class Run:
    """One training in progress.

    Parameters
    ----------
    trainer : Trainer
        Started or restored, after `step` steps.
    settings : dict
        Settings of the stage.
    data : TrialData
        Images, splits and the criterion on validation.
    processes : Processes
        This process among all.
    """

    def __init__(
        self,
        trainer: Trainer,
        step: int,
        settings: FinetuneSettings,
        data: TrialData,
        processes: Processes,
    ) -> None:
        entry = settings["entry"]
        self.trainer, self.step, self.data = trainer, step, data
        self.images = len(data.splits["train"].rows)
        total = trainer.steps(self.images)
        self.name = f"{settings['model']} {settings['method']} {describe(trainer)}"
        self.progress = Progress(self.name, total, step, entry["batch_size"], processes.rank == 0)
        together = entry.get("together", 1)
        self.steps: Iterator[Step] = train_steps(trainer, data, step, processes, together)

    def advance(self) -> bool:
        """Take the next step; return False if there is none left."""
        step = next(self.steps, None)
        if step is None:
            self.progress.close()
            return False
        self.step = step.number
        if step.logits is not None:
            self.trainer.record_epoch(step.logits, self.data)
            if self.data.group_aucs is not None:
                aucs = self.data.group_aucs(self.trainer.network, step.logits)
                self.trainer.trial.groups.append(aucs)
        self.progress.update(self.trainer.epoch_of(step.number, self.images), step.loss)
        return True

    def state(self) -> dict:
        """Return the state of a checkpoint, from which `Grid` starts the run again."""
        return {**self.trainer.state(), "step": self.step}


class Grid:
    """The trainings of a job, and their checkpoints.

    Parameters
    ----------
    networks : dict of int to Network
        By seed, with initial weights.
    settings : dict
        Settings of the stage; ``entry.learning_rates``, ``entry.together``.
    data : TrialData
        Images, splits and the criterion on validation.
    checkpoints : Checkpoints
        Where the state is kept.
    processes : Processes
        This process among all.
    preemption : PreemptionSignal
        After SIGTERM, a checkpoint is written and the process exits
        (`medaudit.training.preemption`).
    """

    def __init__(
        self,
        networks: dict[int, Network],
        settings: FinetuneSettings,
        data: TrialData,
        checkpoints: Checkpoints,
        processes: Processes,
        preemption: PreemptionSignal,
    ) -> None:
        self.settings, self.data = settings, data
        self.checkpoints, self.processes = checkpoints, processes
        self.interruption = Interruption(processes, preemption, checkpoints)
        rates = sorted(settings["entry"]["learning_rates"])
        self.keys = [TrialKey(rate, seed) for seed in networks for rate in rates]
        self.networks = networks
        for network in networks.values():
            network.keep_initial()
            self._compile(network)
        self.free = {seed: [network] for seed, network in networks.items()}
        self.running: dict[str, Run] = {}
        self.finished: dict[str, dict] = {}
        self.done = 0

    def train(self) -> dict[int, list[Trial]]:
        """Train everything, from the last checkpoint on; return the trials by seed and rate."""
        state = self.checkpoints.load(self.processes.device) or {}
        self.finished, self.done = state.get("finished", {}), state.get("done", 0)
        waiting = [key for key in self.keys if name_of(key) not in self.finished]
        together = self.settings["entry"].get("together", 1)
        while waiting or self.running:
            while waiting and len(self.running) < together:
                self._start(waiting.pop(0), state.get("running", {}))
            for name, run in list(self.running.items()):
                if run.advance():
                    self.done += 1
                    self._look()
                else:
                    self._finish(name, run)
        return {
            seed: [Trial.from_state(self.finished[name_of(k)]) for k in self.keys if k.seed == seed]
            for seed in self.networks
        }

    def _start(self, key: TrialKey, states: dict[str, dict]) -> None:
        entry, multiclass = self.settings["entry"], self.settings["task_type"] == "multiclass"
        free = self.free[key.seed]
        network = free.pop() if free else self._compile(self.networks[key.seed].twin())
        trainer = find_trainer(entry)(network, entry, multiclass, key, self.data.splits["train"])
        state = states.get(name_of(key))
        step = trainer.restore(state) if state else trainer.start()
        self.running[name_of(key)] = Run(trainer, step, self.settings, self.data, self.processes)

    def _compile(self, network: Network) -> Network:
        if self.settings["entry"].get("compile"):
            compile_blocks(network.tower)
        return network

    def _finish(self, name: str, run: Run) -> None:
        self.finished[name] = run.trainer.trial.to_state()
        self.free[run.trainer.seed].append(run.trainer.network)
        del self.running[name]
        self._save()

    def _look(self) -> None:
        stopping, due = self.interruption.decide()
        if due:
            self._save()
        if stopping:
            exit_all_processes(f"checkpoint of step {self.done} written", self.processes)

    def _save(self) -> None:
        if self.processes.rank == 0:
            running = {name: run.state() for name, run in self.running.items()}
            state = {"finished": self.finished, "running": running, "done": self.done}
            self.checkpoints.save(self.done, state)


def name_of(key: TrialKey) -> str:
    """Return the name of a training in a checkpoint."""
    return f"{key.seed} {key.learning_rate!r}"


def describe(trainer: Trainer) -> str:
    """Return what tells a training from the others of its job, for the log."""
    return f"lr {trainer.rate:g}"
