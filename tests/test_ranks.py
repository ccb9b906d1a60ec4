"""Two and four processes give the answer of one, at a fixed global batch (gloo).

In float64 the losses agree to 1e-8 over 20 steps. In float32 they agree to 1e-5 over the first 3; after that a unit that wakes one step
earlier or later is enough to part them, because Adam's first step for it has full length."""
import json, os, subprocess, sys
from pathlib import Path

import pandas as pd, pytest

from toys import config, toy_set, train

HERE = Path(__file__).parent
CASES = {'full': [], 'batch': ['xid.candidates=batch', 'optim.clip=0.5'], 'sampled': ['xid.candidates=sampled', 'xid.negatives=9']}


def torchrun(work, n, runs):
    "Train the toy with n processes, one run after the other."
    r = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n), HERE / 'toys.py', work / 'toy', json.dumps(runs)],
                       env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr[-3000:]


def same_lines(one, many, tolerance, steps=20):
    "Every logged mean (speed aside) of two runs, over the first steps."
    one, many = (pd.read_csv(x / 'log.csv').drop(columns=['clips_per_s', 'wait_percent']) for x in (one, many))
    assert list(one) == list(many) and list(one.step) == list(many.step) == [3, 6, 9, 12, 15, 18, 20]
    worst = (one - many)[one.step <= steps].abs().max()
    assert worst.max() < tolerance, worst[worst > tolerance].to_dict()


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp('ranks'); toy_set(work / 'toy')
    return work


def compare(work, n, names):
    "Both precisions of each case, alone and with n processes."
    runs = [(f'{name}-{dtype}', CASES[name], dtype) for name in names for dtype in ('float64', 'float32')]
    torchrun(work, n, [(str(work / f'{n}-{r[0]}'), *r[1:]) for r in runs])
    for name, options, dtype in runs:
        train(work / 'toy', work / f'1-{name}', options, dtype)
        same_lines(work / f'1-{name}', work / f'{n}-{name}', *((1e-8, 20) if dtype == 'float64' else (1e-5, 3)))


def test_two_processes(work):
    "In-batch candidates first, then the full bank with weights, soft targets and attention consistency."
    compare(work, 2, ['full'])


@pytest.mark.slow
def test_two_processes_other_candidates(work): compare(work, 2, ['batch', 'sampled'])


@pytest.mark.slow
def test_four_processes(work): compare(work, 4, list(CASES))


@pytest.mark.slow
def test_resume_on_another_number_of_processes(work):
    "Stopped with two processes after step 16, continued with one: still the same lines."
    train(work / 'toy', work / 'uncut', dtype='float64')
    torchrun(work, 2, [[str(work / 'moved'), [], 'float64']])
    (work / 'moved/checkpoints/step-00000020.pt').unlink()
    train(work / 'toy', work / 'moved', dtype='float64')
    same_lines(work / 'uncut', work / 'moved', 1e-8)


def test_batch_must_be_shared_evenly(work):
    from avnb.clips import ClipError, batch_plan
    import numpy as np
    with pytest.raises(ClipError, match='multiple of 5'): batch_plan(np.arange(48), 12, 0, 5, True)
