"What only a GPU can show; elsewhere it is skipped, and said."

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from toys import config, toy_set, train

HERE = Path(__file__).parent
gpu = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason='no GPU: steps that never wait for it, and resuming on it to the last bit, are not tested',
)
two_gpus = pytest.mark.skipif(
    torch.cuda.device_count() < 2, reason='fewer than two GPUs: processes that talk over NCCL are not tested'
)


@gpu
def test_a_step_does_not_wait_for_the_gpu(tmp_path):
    "All of the objective on: from the batch to the bank, nothing asks the device for a number."
    import avnb.training as T

    cfg = config(
        toy_set(tmp_path / 'toy'),
        tmp_path / 'run',
        [
            'run.device=cuda',
            'run.amp=true',
            'optim.clip=1.0',
            'run.log_every=99',
            'run.checkpoint_every=99',
            'weight.start=0.0',
            'soft.start=0.0',
            'xid.warm_epochs=0.0',
        ],
    )
    s = T.State(cfg, T.training_manifest(cfg))
    s.model.train()
    s.bank.written.fill_(True)
    s.objective.begin_epoch()
    batch = s.data.fetch(s.data.rows[:12], 0).pin_memory()

    def step():
        index, video, spec = s.to_views(batch)
        out = s.forward(video, spec)
        loss, parts = s.objective(out, index, s.step)
        s.optimizer_step(loss, batch.index)
        s.bank.update(index, out.video.detach(), out.audio.detach(), validate=False)
        s.after_step(parts)

    for _ in range(3):
        step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode('default')


@gpu
def test_killed_on_a_gpu(tmp_path):
    """In deterministic mode: killed in the middle of an epoch and of a checkpoint's writing, then finished: bit-equal
    to a run that nobody disturbed."""
    from test_resume import LOSSES, assert_equal

    from avnb.runs import read_checkpoint

    toy_set(tmp_path / 'toy')

    def go(name, *kill):
        r = subprocess.run(
            [
                sys.executable,
                HERE / 'toys.py',
                tmp_path / 'toy',
                json.dumps([[str(tmp_path / name), ['run.device=cuda']]]),
                *kill,
            ],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, 'TOY_DETERMINISTIC': '1', 'CUBLAS_WORKSPACE_CONFIG': ':4096:8'},
        )
        assert r.returncode == (-signal.SIGKILL if kill else 0), r.stderr[-2000:]

    go('through')
    for kill in ('step:14', 'write:1', None):
        go('killed', *([kill] if kill else []))
    assert_equal(*(read_checkpoint(tmp_path / k / 'checkpoints/step-00000020.pt') for k in ('through', 'killed')))
    pd.testing.assert_frame_equal(
        *(pd.read_csv(tmp_path / k / 'log.csv', dtype=str)[LOSSES] for k in ('through', 'killed'))
    )


@two_gpus
def test_two_gpus_give_the_answer_of_one(tmp_path):
    from test_ranks import same_lines, torchrun

    toy_set(tmp_path / 'toy')
    torchrun(tmp_path, 2, [[str(tmp_path / 'two'), ['run.device=cuda'], 'float64']])
    train(tmp_path / 'toy', tmp_path / 'one', ['run.device=cuda'], 'float64')
    same_lines(tmp_path / 'one', tmp_path / 'two', 1e-8)
