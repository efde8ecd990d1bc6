from __future__ import annotations

import pytest

from vit_dementia.launch import Launch, this_launch

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "1",
    "RANK": "9",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "16",
    "LOCAL_WORLD_SIZE": "8",
}
SLURM = {
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "6",
    "SLURM_NNODES": "3",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}


def test_the_place_is_the_launchers_torchrun_before_slurm() -> None:
    assert this_launch(TORCHRUN | SLURM) == Launch(9, 1, 16, 8)
    assert this_launch(TORCHRUN).num_machines == 2
    assert this_launch(SLURM) == Launch(5, 1, 6, 2)
    assert this_launch(SLURM).num_machines == 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "1", "WORLD_SIZE": "2"},  # left over by somebody else
        {k: v for k, v in SLURM.items() if k != "SLURM_STEP_ID"},  # without srun
        SLURM | {"SLURM_JOB_NAME": "interactive"},
    ],
)
def test_who_was_started_alone_is_alone(environment) -> None:
    assert this_launch(environment) == Launch()
