"""Processes that train one network together, started by `accelerate launch`.

The first one leads: it runs the whole of edgekit as if it were alone. The others wait for a network to train, train
it with the first, each on its part of every batch, and wait again; they decide, write and say nothing.
"""

from __future__ import annotations

import os
import pickle
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, fx, nn

from edgekit.errors import InputError
from edgekit.optional import load
from edgekit.stages.shared_batch_norm import SharedBatchNorm

if TYPE_CHECKING:
    from accelerate import Accelerator

WAIT = timedelta(days=30)
"""How long the others wait for the next training: the first one exports and measures meanwhile."""


class Crew(Protocol):
    """Who trains, as the training loop sees it."""

    rank: int
    size: int

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The network to call in training: its gradients are those of the whole batch."""
        ...

    def sharing(self) -> AbstractContextManager[object]:
        """For forward passes: batch norms see the whole batch."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss that is this process's share of the whole batch's."""
        ...

    def total(self, share: Tensor) -> Tensor:
        """The sum of what all processes have, the same in each."""
        ...

    def agreed(self, decided: bool | None) -> bool:
        """What the first process decided; the others give None."""
        ...

    def free(self) -> None:
        """A training is over."""
        ...


class Alone:
    """One process."""

    rank, size = 0, 1

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The network itself."""
        return module

    def sharing(self) -> AbstractContextManager[object]:
        """Nothing is shared."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Plain gradients."""
        loss.backward()  # type: ignore[no-untyped-call]

    def total(self, share: Tensor) -> Tensor:
        """It is all there is."""
        return share

    def agreed(self, decided: bool | None) -> bool:
        """Its own decision."""
        return bool(decided)

    def free(self) -> None:
        """Nothing to give back."""


class Together:
    """All processes that were launched, over Hugging Face accelerate."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.rank, self.size = accelerator.process_index, accelerator.num_processes
        # What is sent between trainings waits without a GPU: there, waiting is a kernel that runs and disturbs clocks.
        self._talk = torch.distributed.new_group(backend="gloo", timeout=WAIT)

    def wrapped(self, module: nn.Module) -> nn.Module:
        """Averages gradients while they are computed."""
        prepared: nn.Module = self._accelerator.prepare_model(module)
        return prepared

    def sharing(self) -> AbstractContextManager[object]:
        """Statistics of the whole batch, which torch's own synchronised batch norm has on GPUs alone."""
        return SharedBatchNorm()

    def backward(self, loss: Tensor) -> None:
        """The mean over processes is taken of gradients: of shares, it is the sum that is meant."""
        self._accelerator.backward(loss * self.size)

    def total(self, share: Tensor) -> Tensor:
        """Summed in every process."""
        summed: Tensor = self._accelerator.reduce(share.detach().clone(), "sum")
        return summed

    def agreed(self, decided: bool | None) -> bool:
        """Sent by the first process."""
        said: list[bool | None] = [decided]
        torch.distributed.broadcast_object_list(said, src=0, group=self._talk)
        return bool(said[0])

    def free(self) -> None:
        """Drops what accelerate remembers of the network."""
        self._accelerator.free_memory()

    def send(self, work: object) -> bool:
        """From the first process: what to train next, or None for no more; False where Python cannot pickle it."""
        try:
            packed = pickle.dumps(work)
        except (
            pickle.PicklingError,
            AttributeError,
            TypeError,
        ):  # a class of a function's, a lambda in a layer
            return False
        torch.distributed.broadcast_object_list([packed], src=0, group=self._talk)
        return True

    def dismiss(self) -> None:
        """From the first process: nothing more is trained."""
        self.send(None)
        self.leave()

    def received(self) -> object:
        """In the others: what the first process of this launch sent, and no one else can."""
        packed: list[bytes | None] = [None]
        torch.distributed.broadcast_object_list(packed, src=0, group=self._talk)
        assert packed[0] is not None
        return pickle.loads(packed[0])  # noqa: S301

    def leave(self) -> None:
        """Nothing more is said."""
        self._accelerator.end_training()

    def gathered(self, value: str) -> list[str]:
        """What each process says, in order."""
        every: list[str] = [""] * self.size
        torch.distributed.all_gather_object(every, value, group=self._talk)
        return every


def launched() -> bool:
    """Whether this is one of several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def follows() -> bool:
    """Whether this process is not the first of several."""
    return launched() and int(os.environ.get("RANK", "0")) > 0


@cache
def together(device: str) -> Together:
    """The processes of this launch; raises `MissingError` where accelerate is not installed."""
    accelerate = load("accelerate", extra="accelerate")
    accelerator: Accelerator = accelerate.Accelerator(
        cpu=device == "cpu",
        mixed_precision="no",  # the recipe says
        kwargs_handlers=[
            accelerate.InitProcessGroupKwargs(timeout=WAIT),
            accelerate.DistributedDataParallelKwargs(static_graph=True),  # layers that a loss does not reach
        ],
    )
    return Together(accelerator)


def crew_for(module: nn.Module, work: object, device: str) -> Crew:
    """Who trains a network, in the first process; the others are told.

    A graph (a `.pt2` file's, or one that is trained for INT8) and what Python cannot pickle train in one process.
    """
    if not launched() or isinstance(module, fx.GraphModule):
        return Alone()
    if follows():
        raise InputError(
            "several processes were launched, and this is not the first of them",
            hint="only `edgekit compress` trains in several: launch the others as one process",
        )
    crew = together(device)
    return crew if crew.send(work) else Alone()
