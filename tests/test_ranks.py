"Two and four processes give the answer of one: same loss lines at a fixed global batch (gloo, float32)."
import json, os, subprocess, sys
from pathlib import Path

import pandas as pd, pytest

from toys import config, toy_set

HERE = Path(__file__).parent


def torchrun(work, n, name, options):
    "Train the toy with n processes; returns its log."
    r = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n), HERE / 'toys.py', work / 'toy',
                        json.dumps([str(work / name), options])], env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr[-3000:]
    return pd.read_csv(work / name / 'log.csv')


def same_lines(one, many):
    "Largest difference of any logged mean (speed aside)."
    names = [c for c in one if c not in ('clips_per_s', 'wait_percent')]
    assert list(one) == list(many) and len(one) == len(many) and len(one) > 5
    worst = (one[names] - many[names]).abs().max()
    assert worst.max() < 1e-5, worst[worst > 1e-5].to_dict()


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp('ranks'); toy_set(work / 'toy')
    return work


def alone(work, name, options):
    from avnb.training import fit
    return fit(config(work / 'toy', work / name, options)).log


def test_two_processes(work):
    "In-batch candidates, then the full bank with weights, soft targets and attention consistency."
    same_lines(alone(work, 'one', []), torchrun(work, 2, 'two', []))


@pytest.mark.slow
@pytest.mark.parametrize('n, options', [(2, ['xid.candidates=sampled', 'xid.negatives=9']), (2, ['xid.candidates=batch', 'optim.clip=0.5']),
                                        (4, []), (4, ['xid.candidates=batch'])], ids=str)
def test_more_processes(work, n, options):
    name = f"{n}{'-'.join(o.split('=')[1] for o in options)}"
    same_lines(alone(work, 'one' + name, options), torchrun(work, n, 'many' + name, options))


@pytest.mark.slow
def test_resume_on_another_number_of_processes(work):
    "Stopped with two processes after 8 steps, continued with one: still the same lines."
    from avnb.training import fit
    whole = alone(work, 'uncut', [])
    torchrun(work, 2, 'moved', [])
    folder = work / 'moved'
    for p in folder.glob('checkpoints/step-00000020.pt'): p.unlink()                  # as if it had died after step 16
    same_lines(whole, fit(config(work / 'toy', folder)).log)
