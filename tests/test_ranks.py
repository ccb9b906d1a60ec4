"""Two and four processes give the answer of one, at a fixed global batch (gloo).

In float64 the losses agree to 1e-8 over 20 steps. In float32 they agree to 1e-4 over the first 3; after that a unit
that wakes one step earlier or later is enough to part them, because Adam's first step for it has full length."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from toys import config, toy_set, train, until

HERE = Path(__file__).parent
CASES = {
    'full': [],
    'shard': ['xid.shard=true'],
    'batch': ['xid.candidates=batch', 'optim.clip=0.5'],
    'sampled': ['xid.candidates=sampled', 'xid.negatives=9'],
}


PLAIN = {**os.environ, 'OMP_NUM_THREADS': '1'}


def launch(n):
    return (
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n)]
        if n > 1
        else [sys.executable]
    )


def torchrun(work, n, runs, toy='toy', fails=False):
    "Train the toy with n processes, one run after the other; what they said."
    r = subprocess.run(
        [*launch(n), HERE / 'toys.py', work / toy, json.dumps(runs)],
        env=PLAIN,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert bool(r.returncode) == fails, r.stderr[-3000:]
    return r.stderr


def same_lines(one, many, tolerance, steps=20):
    "Every logged mean (speed aside) of two runs, over the first steps."
    folders = one, many
    one, many = (pd.read_csv(x / 'log.csv').drop(columns=['clips_per_s', 'wait_percent']) for x in (one, many))
    assert list(one) == list(many) and list(one.step) == list(many.step) == [3, 6, 9, 12, 15, 18, 20]
    worst = (one - many)[one.step <= steps].abs().max()
    assert worst.max() < tolerance, worst[worst > tolerance].to_dict()
    same_notes(*folders, tolerance, steps)


def same_notes(one, many, tolerance, steps):
    "The instruments of two runs: numbers, and histograms give or take a clip on a bin's edge."
    for name, keys, most in (('monitors', ['step', 'name'], 100 * tolerance), ('histograms', ['step', 'name'], 4)):
        a, b = (pd.read_csv(x / f'{name}.csv').set_index(keys).drop(columns='epoch') for x in (one, many))
        assert (
            list(a.index) == list(b.index)
            and {'auroc_wrong_track', 'weight_q50', 'S_hub_video'} <= set(a.index.get_level_values(1))
            or name == 'histograms'
        )
        a, b = (x[x.index.get_level_values(0) <= steps] for x in (a, b))
        if len(a):
            assert (a - b).abs().max().max() <= most, (a - b).abs().max(axis=1).nlargest(3)


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp('ranks')
    toy_set(work / 'toy')
    return work


def compare(work, n, names):
    """Both precisions of each case, alone and with n processes; a bank in parts is compared with a whole one in a
    single process."""
    runs = [(f'{name}-{dtype}', CASES[name], dtype) for name in names for dtype in ('float64', 'float32')]
    torchrun(work, n, [(str(work / f'{n}-{r[0]}'), *r[1:]) for r in runs])
    for name, options, dtype in runs:
        one = name.replace('shard', 'full')
        if not (work / f'1-{one}').exists():
            train(work / 'toy', work / f'1-{one}', [] if 'shard' in name else options, dtype)
        same_lines(work / f'1-{one}', work / f'{n}-{name}', *((1e-8, 20) if dtype == 'float64' else (1e-4, 3)))


def test_two_processes(work):
    "In-batch candidates first, then the full bank with weights, soft targets and attention consistency."
    compare(work, 2, ['full', 'shard'])


@pytest.mark.slow
def test_two_processes_other_candidates(work):
    compare(work, 2, ['batch', 'sampled'])


@pytest.mark.slow
def test_four_processes(work):
    compare(work, 4, list(CASES))


@pytest.mark.slow
def test_resume_on_another_number_of_processes(work):
    "Stopped with two processes after step 16, continued with one: still the same lines."
    train(work / 'toy', work / 'uncut', dtype='float64')
    torchrun(work, 2, [[str(work / 'moved'), [], 'float64']])
    (work / 'moved/checkpoints/step-00000020.pt').unlink()
    train(work / 'toy', work / 'moved', dtype='float64')
    same_lines(work / 'uncut', work / 'moved', 1e-8)


@pytest.mark.slow
def test_bank_in_parts_resumes_on_any_number_of_processes(work):
    """Four parts after step 16, continued with two parts, then finished with a whole bank: the lines of a run with a
    whole bank."""
    train(work / 'toy', work / 'uncut', dtype='float64')
    for n, last in ((4, 16), (2, 12)):
        torchrun(work, n, [[str(work / 'parts'), ['xid.shard=true', 'run.keep_checkpoints=9'], 'float64']])
        for f in (work / 'parts/checkpoints').iterdir():
            if int(f.name.split('-')[1].split('.')[0]) > last:
                f.unlink()
    config_file = work / 'parts/config.toml'
    config_file.write_text(config_file.read_text().replace('shard = true', 'shard = false'))
    train(work / 'toy', work / 'parts', dtype='float64')
    same_lines(work / 'uncut', work / 'parts', 1e-8)


@pytest.mark.slow
def test_sigterm_to_torchrun_saves_on_all_processes(work):
    """What a scheduler does: SIGTERM goes to torchrun, which passes it on; the processes agree on a step, save, and the
    rest is done later."""
    train(work / 'toy', work / 'quiet', dtype='float64')
    p = subprocess.Popen(
        [*launch(2), HERE / 'toys.py', work / 'toy', json.dumps([[str(work / 'termed'), [], 'float64']]), 'slow:0.5'],
        env=PLAIN,
        text=True,
        stderr=subprocess.PIPE,
    )
    until((work / 'termed/log.csv').exists, p)
    p.terminate()
    error = p.communicate(timeout=120)[1]
    assert p.returncode and 'everything is saved' in error, error[-2000:]
    assert 3 <= int(max((work / 'termed/checkpoints').glob('step-*.pt')).stem.split('-')[1]) < 20
    torchrun(work, 2, [[str(work / 'termed'), [], 'float64']])
    same_lines(work / 'quiet', work / 'termed', 1e-8)


def test_the_command_under_torchrun(work):
    "`torchrun -m avnb train`, as the batch script has it: the lines of the same command in one process."
    import tomli_w

    from avnb.core import to_dict

    for n in (1, 2):
        file = work / f'command-{n}.toml'
        file.write_text(tomli_w.dumps(to_dict(config(work / 'toy', work / f'command-{n}'))))
        r = subprocess.run(
            [*launch(n), '-m', 'avnb', 'train', '--config', file],
            env=PLAIN,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert r.returncode == 0, r.stderr[-3000:]
    same_lines(work / 'command-1', work / 'command-2', 1e-4, 3)


def test_unreadable_clips_are_counted_over_all_processes(work):
    """Eight of 48 are bad, five may be: neither process meets more than five in the first pass, both together do, and
    all of them stand in the ledger."""
    bad = work / 'bad'
    shutil.copytree(work / 'toy', bad)
    meta = json.loads((bad / 'meta.json').read_text())
    (bad / 'meta.json').write_text(
        json.dumps(meta | dict(bad={str(k): 'moov atom not found' for k in range(0, 48, 6)}))
    )
    runs = [[str(work / 'over'), [f'data.packed="{bad}"', 'data.max_unreadable=0.11', 'run.log_every=1'], 'float32']]
    error = torchrun(work, 2, runs, 'bad', fails=True)
    assert 'of 48 clips cannot be read' in error and 'raise data.max_unreadable' in error, error[-3000:]
    assert pd.read_csv(work / 'over/log.csv').step.max() <= 4 and 5 < len(pd.read_csv(work / 'over/ledger.csv')) <= 8


def test_batch_must_be_shared_evenly(work):
    import numpy as np

    from avnb.clips import batch_plan
    from avnb.packed import ClipError

    with pytest.raises(ClipError, match='multiple of 5'):
        batch_plan(np.arange(48), 12, 0, 5, True)
