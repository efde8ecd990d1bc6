"""How this process was started: alone, or as one of several by torchrun or SLURM."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# How processes share a training: as they were started, or each on its part of a batch.
Strategy = Literal["auto", "ddp", "fsdp"]
_INTERACTIVE = ("bash", "interactive")  # a SLURM shell: what is run in it is alone


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that do one job together.

    Attributes:
        rank: from 0; the process of rank 0 speaks and writes for all.
        local_rank: from 0 on each machine.
        num_processes: of the job.
        num_here: of them on this machine.
    """

    rank: int = 0
    local_rank: int = 0
    num_processes: int = 1
    num_here: int = 1

    @property
    def num_machines(self) -> int:
        """Machines of the job; each runs as many processes as the others."""
        return self.num_processes // self.num_here


def this_launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """Return the place of this process, as the variables of its launcher say.

    >>> this_launch({})
    Launch(rank=0, local_rank=0, num_processes=1, num_here=1)
    >>> this_launch({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "8", "SLURM_NNODES": "2",
    ...              "SLURM_PROCID": "5", "SLURM_LOCALID": "1"})
    Launch(rank=5, local_rank=1, num_processes=8, num_here=4)
    """
    of = environment
    if "TORCHELASTIC_RUN_ID" in of:
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        return Launch(*(int(of[name]) for name in names))
    is_step = "SLURM_STEP_ID" in of and "SLURM_NTASKS" in of  # started by srun
    if is_step and of.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        number = int(of["SLURM_NTASKS"])
        here = number // int(of.get("SLURM_NNODES", "1"))
        return Launch(int(of["SLURM_PROCID"]), int(of["SLURM_LOCALID"]), number, here)
    return Launch()
