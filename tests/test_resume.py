"""A training process is killed with SIGKILL and started again: the result equals that of a run which was never touched,
to the last bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from toys import config, toy_set, until

HERE = Path(__file__).parent
LOSSES = ['step', 'epoch', 'loss', 'xid', 'agreement', 'cmac_video', 'cmac_audio', 'weight', 'target_entropy', 'lr']


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    "The order in which threads add numbers is part of the last bit."
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    return tmp_path_factory.mktemp('resume')


@pytest.fixture(scope='module')
def through(work):
    "The run that nobody disturbed."
    from avnb.training import fit

    return fit(config(toy_set(work / 'toy'), work / 'through'))


def killed(work, run, kill):
    "Train in a process that dies at `kill`."
    r = subprocess.run(
        [sys.executable, HERE / 'toys.py', work / 'toy', json.dumps([[str(run)]]), kill],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert r.returncode == -signal.SIGKILL, r.stderr[-2000:]


def whole(run):
    """Everything a finished run left: last checkpoint, loss lines as text, names of files; attention and instruments at
    each epoch's end."""
    from avnb.runs import read_checkpoint

    files = sorted(p.name for p in (run / 'checkpoints').iterdir() if not p.name.startswith('.'))
    log = pd.read_csv(run / 'log.csv', dtype=str)
    maps = {p.name: p.read_bytes() for p in (run / 'maps').iterdir()}
    assert len(maps) == 5
    own = lambda line: line.split(',')[2].startswith(
        ('name', 'auroc_', 'score_', 'weight_', 'S_')
    )  # the command adds a monitor
    notes = {n: [l for l in (run / n).read_text().splitlines() if own(l)] for n in ('monitors.csv', 'histograms.csv')}
    return (
        dict(
            read_checkpoint(run / 'checkpoints' / next(f for f in reversed(files) if f.endswith('.pt'))),
            maps=maps,
            notes=notes,
        ),
        log[LOSSES],
        files,
    )


def assert_equal(a, b, where=''):
    "Nested dictionaries, lists, numbers and tensors, bit for bit."
    if torch.is_tensor(a):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for k in a:
            k in ('config', 'key') or assert_equal(a[k], b[k], f'{where}.{k}')
    elif isinstance(a, (list, tuple)):
        [assert_equal(x, y, f'{where}[{k}]') for k, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        assert a == b, (where, a, b)


def check(work, through, name, kills):
    from avnb.training import fit

    run = work / name
    for kill in kills:
        killed(work, run, kill)
    fit(config(work / 'toy', run))
    (a, log_a, files_a), (b, log_b, files_b) = whole(through.folder), whole(run)
    assert_equal(a, b)
    pd.testing.assert_frame_equal(log_a, log_b)
    assert files_a == files_b and len(files_a) == 2 and len(log_a) == 7  # 20 steps, a line every 3 and the last
    assert not list(run.rglob('*.tmp'))
    shutil.rmtree(run)


def test_killed_in_the_middle_of_an_epoch_and_of_a_write(work, through):
    """Step 14: in the epoch's middle, between log lines, with weights and soft targets on. Then with half of the next
    checkpoint written."""
    check(work, through, 'middle', ['step:14', 'write:1'])


@pytest.mark.slow
@pytest.mark.parametrize(
    'kills',
    [
        ['step:1'],
        ['step:7'],
        ['step:19'],
        ['log:8'],
        ['log:20'],
        ['write:1'],
        ['write:3'],
        ['rename:2'],
        ['epoch:0'],
        ['epoch:3'],
        ['epoch:4'],
        ['maps:3'],
        ['step:5', 'write:2', 'step:17'],
    ],
    ids='+'.join,
)
def test_killed_anywhere(work, through, kills):
    check(work, through, 'any', kills)


@pytest.mark.slow
def test_killed_at_random(work, through):
    "Five times, at steps nobody chose, each time further on."
    steps = sorted(np.random.default_rng().choice(np.arange(1, 20), 5, replace=False).tolist())
    print('killed at', steps)
    check(work, through, 'random', [f'step:{k}' for k in steps])


def test_another_number_of_reading_processes(work):
    "From files: killed at step 5 with one reading process, continued with two; without a kill and with none: the same."
    from test_bad_training import sample_config

    from avnb.runs import read_checkpoint
    from avnb.training import fit

    fit(sample_config(work / 'files', 'data.workers=0'))
    r = subprocess.run(
        [
            sys.executable,
            '-c',
            f'import sys; sys.path.insert(0, {str(HERE)!r}); import torch; torch.set_num_threads(1); from toys import '
            "plant; plant('step:5')\n"
            'from test_bad_training import sample_config; from avnb.training import fit; '
            f'fit(sample_config({str(work / "moved")!r}))',
        ],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert r.returncode == -signal.SIGKILL, r.stderr[-2000:]
    assert (work / 'moved/checkpoints/step-00000004.pt').exists()
    fit(sample_config(work / 'moved', 'data.workers=2'))
    a, b = (read_checkpoint(work / x / 'checkpoints/step-00000008.pt') for x in ('files', 'moved'))
    assert_equal(a, b)
    a, b = (
        pd.read_csv(work / x / 'log.csv', dtype=str).drop(columns=['clips_per_s', 'wait_percent'])
        for x in ('files', 'moved')
    )
    pd.testing.assert_frame_equal(a, b)


def test_damaged_checkpoint_is_set_aside(work, through, capsys):
    "The newest checkpoint is cut short: the one before it is used, and the end is the same."
    from avnb.training import fit

    run = work / 'damaged'
    shutil.copytree(through.folder, run)
    os.truncate(run / 'checkpoints/step-00000020.pt', 5000)
    fit(config(work / 'toy', run))
    assert 'step-00000020.pt is damaged' in capsys.readouterr().out
    assert (run / 'checkpoints/step-00000020.pt.damaged').exists()
    assert_equal(whole(through.folder)[0], whole(run)[0])


def test_finished_is_skipped_and_other_settings_are_refused(work, through, capsys):
    from avnb.runs import RunError
    from avnb.training import fit

    before = {p: p.stat().st_mtime_ns for p in through.folder.glob('checkpoints/*')}
    fit(config(work / 'toy', through.folder))
    assert 'skipped because' in capsys.readouterr().out and before == {
        p: p.stat().st_mtime_ns for p in through.folder.glob('checkpoints/*')
    }
    with pytest.raises(RunError, match='soft.lam 0.5 -> 0.25'):
        fit(config(work / 'toy', through.folder, ['soft.lam=0.25']))
    with pytest.raises(RunError, match='holds this run already'):
        fit(config(work / 'toy', through.folder), resume=None)


def test_another_manifest_is_refused(work, through):
    "A clip's content changed: its row in the bank would stand for something else."
    from avnb.runs import RunError
    from avnb.training import fit

    other = work / 'other'
    shutil.copytree(work / 'toy', other)
    table = (other / 'manifest.csv').read_text().replace(f'{7:064x}', 'f' * 64)
    (other / 'manifest.csv').write_text(table)
    meta = (other / 'meta.json').read_text().replace(f'{7:064x}', 'f' * 64)
    (other / 'meta.json').write_text(meta)
    with pytest.raises(RunError, match='manifest .* -> '):
        fit(config(other, through.folder))


def test_stage_two_from_another_run(work, through):
    "A checkpoint of one run may start another one: same manifest, other objective."
    from avnb.training import fit

    run = fit(
        config(work / 'toy', work / 'branch', ['weight.enabled=false']),
        resume=through.folder / 'checkpoints/step-00000016.pt',
    )
    assert run.log.step.min() == 18 and run.log.step.max() == 20


@pytest.mark.parametrize(
    'change, says',
    [
        (['optim.epochs=9'], 'optim.epochs 5 there, 9 here'),
        (['optim.lr=0.5'], 'optim.lr .* there, 0.5 here'),
        (['model.dim=24'], 'model.dim .* there, 24 here'),
    ],
)
def test_stage_two_that_does_not_fit_is_refused(work, through, tmp_path, change, says):
    """Schedule and networks go on as the first stage left them: another length, rate or width is said before anything
    is trained."""
    from avnb.runs import RunError
    from avnb.training import fit

    cfg = config(work / 'toy', tmp_path / 'two', change)
    with pytest.raises(RunError, match=says):
        fit(cfg, resume=through.folder / 'checkpoints/step-00000016.pt')
    assert not list((tmp_path / 'two').glob('checkpoints/*'))


def test_stage_two_from_the_end_or_from_nothing(work, through, tmp_path):
    from avnb.runs import RunError
    from avnb.training import fit

    with pytest.raises(RunError, match='is the end of its run'):
        fit(config(work / 'toy', tmp_path / 'end'), resume=through.folder / 'checkpoints/step-00000020.pt')
    with pytest.raises(RunError, match='there is no checkpoint'):
        fit(config(work / 'toy', tmp_path / 'no'), resume=tmp_path / 'no.pt')


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        torch.OutOfMemoryError('CUDA out of memory'),
        OSError(5, 'Input/output error'),
        PermissionError(13, 'Permission denied'),
    ],
)
def test_what_is_no_damage_throws_no_checkpoint_away(work, through, tmp_path, monkeypatch, error):
    from avnb import runs, training

    run = tmp_path / 'run'
    shutil.copytree(through.folder, run)
    files = sorted(p.name for p in (run / 'checkpoints').iterdir())

    def load(*a, **k):
        raise error

    monkeypatch.setattr(training.torch, 'load', load)
    for read in (lambda: runs.load_run(run), lambda: training.fit(config(work / 'toy', run))):
        with pytest.raises(type(error)):
            read()
    assert sorted(p.name for p in (run / 'checkpoints').iterdir()) == files


def test_only_the_run_itself_sets_damaged_checkpoints_aside(work, through, tmp_path, capsys):
    from avnb.runs import load_run
    from avnb.training import fit

    run = tmp_path / 'run'
    shutil.copytree(through.folder, run)
    last = max((run / 'checkpoints').glob('step-*.pt'))
    os.truncate(last, last.stat().st_size // 2)
    load_run(run)
    assert last.exists() and 'falling back' in capsys.readouterr().out
    fit(config(work / 'toy', run))
    assert_equal(whole(through.folder)[0]['model'], whole(run)[0]['model'])
    assert last.with_name(last.name + '.damaged').exists()


def test_a_log_whose_first_line_was_lost_gets_its_header(work, tmp_path):
    "A disk that was full at the first line leaves an empty file, or half a header."
    from avnb.runs import Log

    for text in ('', 'step,ep'):
        (tmp_path / 'log.csv').write_text(text)
        log = Log(tmp_path, 0, 0)
        log.write(dict(step=1, epoch=0, loss=0.5))
        assert pd.read_csv(tmp_path / 'log.csv').to_dict('list') == dict(step=[1], epoch=[0], loss=[0.5])


def test_sigterm_saves_and_raises(work, through):
    from avnb.training import RunStopped, fit

    cfg = config(work / 'toy', work / 'term')
    ask = lambda s: os.kill(os.getpid(), signal.SIGTERM) if s.event == 'log' and s.step == 9 else None
    with pytest.raises(RunStopped) as e:
        fit(cfg, monitors=[ask])
    assert e.value.exit_code == 75 and (work / 'term/checkpoints/step-00000009.pt').exists()
    fit(cfg)
    assert_equal(whole(through.folder)[0], whole(work / 'term')[0])


def test_sigusr1_to_the_command(work, through):
    """`avnb train` in a process of its own: SIGUSR1, exit code 75, and `--resume auto` finishes it, past a newest
    checkpoint that is damaged."""
    import tomli_w

    from avnb.core import to_dict

    cfg = work / 'cli.toml'
    cfg.write_text(tomli_w.dumps(to_dict(config(work / 'toy', work / 'cli'))))
    command = [
        sys.executable,
        '-c',
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from toys import plant; plant('slow:0.3'); from avnb.cli "
        'import main; sys.exit(main(sys.argv[1:]))',
        'train',
        '--config',
        cfg,
        '--resume',
        'auto',
    ]
    p = subprocess.Popen(
        command, env={**os.environ, 'OMP_NUM_THREADS': '1'}, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    until(lambda: list((work / 'cli').glob('checkpoints/step-*.pt')), p)
    p.send_signal(signal.SIGUSR1)
    out, error = p.communicate(timeout=60)
    newest = max((work / 'cli').glob('checkpoints/step-*.pt'))
    assert p.returncode == 75 and f'stopped at step {int(newest.stem[5:])} of 20, everything is saved' in error, (
        out,
        error,
    )
    os.truncate(newest, newest.stat().st_size // 2)
    from avnb.cli import main

    assert main(['train', '--config', str(cfg), '--resume', 'auto']) == 0
    (a, log_a, _), (b, log_b, _) = whole(through.folder), whole(work / 'cli')
    assert_equal(a, b)
    pd.testing.assert_frame_equal(log_a, log_b)
