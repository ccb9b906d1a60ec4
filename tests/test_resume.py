"A training process is killed with SIGKILL and started again: the result equals that of a run which was never touched, to the last bit."
import json, os, shutil, signal, subprocess, sys
from pathlib import Path

import pandas as pd, pytest, torch

from toys import config, toy_set

HERE = Path(__file__).parent
LOSSES = ['step', 'epoch', 'loss', 'xid', 'agreement', 'cmac_video', 'cmac_audio', 'weight', 'target_entropy', 'lr']


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    "The order in which threads add numbers is part of the last bit."
    n = torch.get_num_threads(); torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.fixture(scope='module')
def work(tmp_path_factory): return tmp_path_factory.mktemp('resume')


@pytest.fixture(scope='module')
def through(work):
    "The run that nobody disturbed."
    from avnb.training import fit
    return fit(config(toy_set(work / 'toy'), work / 'through'))


def killed(work, run, kill):
    "Train in a process that dies at `kill`."
    r = subprocess.run([sys.executable, HERE / 'toys.py', work / 'toy', json.dumps([[str(run)]]), kill],
                       env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=120)
    assert r.returncode == -signal.SIGKILL, r.stderr[-2000:]


def whole(run):
    "Everything a finished run left: last checkpoint, loss lines as text, names of files."
    from avnb.training import read_checkpoint
    files = sorted(p.name for p in (run / 'checkpoints').iterdir() if not p.name.startswith('.'))
    log = pd.read_csv(run / 'log.csv', dtype=str)
    return read_checkpoint(run / 'checkpoints' / files[-1]), log[LOSSES], files


def assert_equal(a, b, where=''):
    "Nested dictionaries, lists, numbers and tensors, bit for bit."
    if torch.is_tensor(a): assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for k in a: k in ('config', 'key') or assert_equal(a[k], b[k], f'{where}.{k}')
    elif isinstance(a, (list, tuple)): [assert_equal(x, y, f'{where}[{k}]') for k, (x, y) in enumerate(zip(a, b, strict=True))]
    else: assert a == b, (where, a, b)


def check(work, through, name, kills):
    from avnb.training import fit
    run = work / name
    for kill in kills: killed(work, run, kill)
    fit(config(work / 'toy', run))
    (a, log_a, files_a), (b, log_b, files_b) = whole(through.folder), whole(run)
    assert_equal(a, b)
    pd.testing.assert_frame_equal(log_a, log_b)
    assert files_a == files_b and len(log_a) == 7                        # 20 steps, a line every 3 and the last
    shutil.rmtree(run)


def test_killed_in_the_middle_of_an_epoch(work, through):
    "Step 14: in the epoch's middle, between log lines, with weights and soft targets on."
    check(work, through, 'middle', ['step:14'])


@pytest.mark.slow
@pytest.mark.parametrize('kills', [['step:1'], ['step:7'], ['step:19'], ['log:8'], ['log:20'], ['write:1'], ['write:3'], ['rename:2'], ['epoch:0'], ['epoch:3'],
                                   ['step:5', 'write:2', 'step:17']], ids='+'.join)
def test_killed_anywhere(work, through, kills): check(work, through, 'any', kills)


def test_damaged_checkpoint_is_set_aside(work, through, capsys):
    "The newest checkpoint is cut short: the one before it is used, and the end is the same."
    from avnb.training import fit
    run = work / 'damaged'; shutil.copytree(through.folder, run)
    os.truncate(run / 'checkpoints/step-00000020.pt', 5000)
    fit(config(work / 'toy', run))
    assert 'step-00000020.pt is damaged' in capsys.readouterr().out
    assert_equal(whole(through.folder)[0], whole_new(run))


def whole_new(run):
    from avnb.training import read_checkpoint
    assert (run / 'checkpoints/step-00000020.pt.damaged').exists()
    return read_checkpoint(run / 'checkpoints/step-00000020.pt')


def test_finished_is_skipped_and_other_settings_are_refused(work, through, capsys):
    from avnb.training import TrainingError, fit
    before = {p: p.stat().st_mtime_ns for p in through.folder.glob('checkpoints/*')}
    fit(config(work / 'toy', through.folder))
    assert 'skipped because' in capsys.readouterr().out and before == {p: p.stat().st_mtime_ns for p in through.folder.glob('checkpoints/*')}
    with pytest.raises(TrainingError, match='soft.lam 0.5 -> 0.25'): fit(config(work / 'toy', through.folder, ['soft.lam=0.25']))
    with pytest.raises(TrainingError, match='holds this run already'): fit(config(work / 'toy', through.folder), resume=None)


def test_another_manifest_is_refused(work, through):
    "A clip's content changed: its row in the bank would stand for something else."
    from avnb.training import TrainingError, fit
    other = work / 'other'; shutil.copytree(work / 'toy', other)
    table = (other / 'manifest.csv').read_text().replace(f'{7:064x}', 'f' * 64); (other / 'manifest.csv').write_text(table)
    meta = (other / 'meta.json').read_text().replace(f'{7:064x}', 'f' * 64); (other / 'meta.json').write_text(meta)
    with pytest.raises(TrainingError, match='manifest .* -> '): fit(config(other, through.folder))


def test_stage_two_from_another_run(work, through):
    "A checkpoint of one run may start another one: same manifest, other objective."
    from avnb.training import fit
    run = fit(config(work / 'toy', work / 'branch', ['weight.on=false']), resume=through.folder / 'checkpoints/step-00000016.pt')
    assert run.log.step.min() == 18 and run.log.step.max() == 20


def test_sigterm_saves_and_raises(work, through):
    from avnb.training import RunStopped, fit
    cfg = config(work / 'toy', work / 'term')
    ask = lambda s: os.kill(os.getpid(), signal.SIGTERM) if s.event == 'log' and s.step == 9 else None
    with pytest.raises(RunStopped) as e: fit(cfg, monitors=[ask])
    assert e.value.exit_code == 75 and (work / 'term/checkpoints/step-00000009.pt').exists()
    fit(cfg)
    assert_equal(whole(through.folder)[0], whole(work / 'term')[0])
