"What goes wrong while training says what it was and what to do, leaves no half file, and loses nothing that was saved."

import errno
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toys import config, toy_set, until

HERE = Path(__file__).parent
SAMPLES = HERE.parent / 'data_samples'


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp('bad')
    toy_set(work / 'toy')
    return work


@pytest.fixture
def run(work, tmp_path):
    return lambda *options, folder=tmp_path / 'run': config(work / 'toy', folder, options)


def message(error, match, action):
    "The error's text, in one line; pytest shows it with -s."
    with pytest.raises(error, match=match) as e:
        action()
    print(str(e.value))
    return str(e.value)


def files(folder):
    return sorted(
        p.relative_to(folder).as_posix() for p in Path(folder).rglob('*') if p.is_file() and 'tb' not in p.parts
    )


@pytest.fixture
def small_disk(tmp_path):
    "A file system of 2 MB of its own, where this user may mount one."
    folder = tmp_path / 'disk'
    folder.mkdir()
    if (
        os.name != 'posix'
        or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip('no permission to mount a small file system; the simulated one is tested in any case')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


@pytest.mark.parametrize('left', [0, 40_000])
def test_full_disk(run, small_disk, left):
    """A real disk that becomes full, at a line of the log or in the middle of a checkpoint: the run stops with an
    explanation, what was saved is whole, and it goes on when there is space."""
    from avnb.core import AvnbError
    from avnb.runs import newest_checkpoint
    from avnb.training import fit

    cfg = run('run.keep_checkpoints=1', 'optim.epochs=2', folder=small_disk / 'run')
    ballast = small_disk / 'ballast'

    def fill(s):
        if s.step == 6 and not ballast.exists():
            with open(ballast, 'wb') as f:
                try:
                    while f.write(b'0' * 4096):
                        f.flush()
                except OSError:
                    pass
            os.truncate(ballast, ballast.stat().st_size - left)

    message(AvnbError, 'disk .*full', lambda: fit(cfg, monitors=[fill]))
    path, state = newest_checkpoint(small_disk / 'run')
    assert (
        path.name == 'step-00000004.pt'
        and state['step'] == 4
        and not [f for f in files(small_disk) if f.endswith('.tmp')]
    )
    ballast.unlink()
    assert fit(cfg).log.step.max() == 8


def test_full_disk_simulated(run, monkeypatch):
    "The same where no file system can be mounted: the system refuses the second checkpoint."
    import avnb.core
    from avnb.core import AvnbError
    from avnb.training import fit

    cfg, real, calls = run(), avnb.core.os.fsync, []

    def full(f):
        if '/checkpoints/' in os.readlink(f'/proc/self/fd/{f}'):
            calls.append(f)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, 'No space left on device')
        return real(f)

    monkeypatch.setattr(avnb.core.os, 'fsync', full)
    message(AvnbError, 'disk is full', lambda: fit(cfg))
    assert [f for f in files(cfg.run.folder) if 'checkpoints' in f] == ['checkpoints/step-00000004.pt']


def test_all_clips_from_one_file(run, work, tmp_path):
    "A lecture cut into windows: none of them is another's negative, and a loss of zero would teach nothing in silence."
    import pandas as pd

    from avnb.core import set_options
    from avnb.runs import RunError
    from avnb.training import fit

    t = pd.read_csv(work / 'toy/manifest.csv', dtype=str, keep_default_na=False)
    for names, n in ((['lecture.mp4'] * len(t), 1), (['lecture.mp4', 'other.mp4'] * (len(t) // 2), 2)):
        one = tmp_path / f'files-{n}'
        shutil.copytree(work / 'toy', one)
        t.assign(path=names).to_csv(one / 'manifest.csv', index=False)
        cfg = set_options(run('optim.epochs=1', folder=tmp_path / f'run-{n}'), [f'data.packed="{one}"'])
        if n == 2:
            assert fit(cfg).log.loss.iloc[-1] > 0.1
            continue
        message(RunError, 'windows of one file', lambda: fit(cfg))
        assert not (tmp_path / 'run-1').exists()


def test_folder_that_cannot_be_written(run, tmp_path):
    from avnb.core import AvnbError
    from avnb.training import fit

    (tmp_path / 'file').write_text('here first')
    message(AvnbError, 'cannot write .*file/run', lambda: fit(run(folder=tmp_path / 'file' / 'run')))
    locked = tmp_path / 'locked'
    locked.mkdir()
    locked.chmod(0o500)
    if os.access(locked, os.W_OK):
        return  # root may write everywhere
    message(AvnbError, 'no permission', lambda: fit(run(folder=locked / 'run')))


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.'),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."),
    ],
    ids=['gpu', 'cpu'],
)
def test_out_of_memory(run, monkeypatch, error):
    import avnb.training as T

    real = T.State.forward

    def forward(s, *views):
        if s.step == 6:
            raise error
        return real(s, *views)

    monkeypatch.setattr(T.State, 'forward', forward)
    text = message(T.RunError, 'out of memory at step 6', lambda: T.fit(run()))
    assert 'data.batch (now 12)' in text and 'optim.accumulate=2' in text and 'step-00000004.pt is whole' in text


def spoil(step):
    "A monitor that spoils a weight after a step."

    def monitor(s):
        if s.event == 'log' and s.step == step:
            next(s.model.parameters()).data.fill_(float('nan'))

    return monitor


def poison(monkeypatch, step, clip=3):
    "From a step on, what one clip of each batch gives the audio network is NaN; returns the ids of these clips."
    import avnb.training as T

    to_views, ids = T.State.to_views, []

    def poisoned(s, batch):
        index, video, spec = to_views(s, batch)
        if s.step >= step:
            spec[clip] = float('nan')
            ids.append(s.manifest.table['id'].iloc[int(batch.index[clip])])
        return index, video, spec

    monkeypatch.setattr(T.State, 'to_views', poisoned)
    return ids


def keeper():
    "A monitor that remembers the state, and where it was called."

    def monitor(s):
        monitor.state = s
        monitor.calls.append((s.event, s.step))

    monitor.calls = []
    return monitor


def all_finite(state):
    """Whether every number of a checkpoint's model and bank is one; of a state, of what the optimiser and the bank have
    written."""
    parts = (
        [state['model'], state['bank']]
        if isinstance(state, dict)
        else [dict(state.model.named_parameters()), state.bank.state_dict()]
    )
    return all(bool(x.isfinite().all()) for part in parts for x in part.values())


@pytest.mark.parametrize(
    'options', [[], ['run.amp=true', 'optim.accumulate=2', 'optim.clip=1.0']], ids=['plain', 'bfloat16']
)
def test_a_clip_whose_features_are_nan(run, tmp_path, monkeypatch, options):
    """Said at once, with the clip's name, before the step and the bank take it in; without the clip's fault the run
    goes on as if nothing had been."""
    from avnb.runs import RunError, newest_checkpoint
    from avnb.training import fit

    watch = keeper()
    with monkeypatch.context() as m:
        ids = poison(m, 7)
        text = message(RunError, 'the loss is NaN at step 7', lambda: fit(run(*options), monitors=[watch]))
    assert f'their input is not finite: {ids[0]}. ' in text and 'lower optim.lr' in text
    assert (
        'step-00000004.pt' in text
        and 'learning rate 0.00' in text
        and 'last finite loss' in text
        and 'at step 6' in text
    )
    assert watch.state.step == 7 and all_finite(watch.state)
    facts = json.loads((tmp_path / 'run/nan-step-00000007.json').read_text())
    assert [c['id'] for c in facts['clips'] if not c['sound_finite']] == ids[:1] and all(
        c['picture_finite'] for c in facts['clips']
    )
    assert [int(line.split(',')[0]) for line in (tmp_path / 'run/log.csv').read_text().splitlines()[1:]] == [3, 6]
    _, state = newest_checkpoint(tmp_path / 'run')
    assert state['step'] == 4 and all_finite(state)
    again, whole = fit(run(*options)), fit(run(*options, folder=tmp_path / 'whole'))
    assert again.log.step.max() == 20
    assert all(x.equal(y) for x, y in zip(again.model.state_dict().values(), whole.model.state_dict().values()))


def test_loss_that_is_no_number(run, tmp_path):
    """A weight is spoilt after step 6: the first bad step is named, its clips are listed, and what is on the disk is
    sound."""
    from avnb.runs import RunError, newest_checkpoint
    from avnb.training import fit

    text = message(RunError, 'the loss is NaN at step 6', lambda: fit(run(), monitors=[spoil(6)]))
    facts = json.loads((tmp_path / 'run/nan-step-00000006.json').read_text())
    assert facts['step'] == 6 and facts['epoch'] == 1 and len(facts['clips']) == 12
    assert {
        'row',
        'id',
        'path',
        'picture_mean',
        'picture_std',
        'picture_finite',
        'sound_rms',
        'sound_peak',
        'sound_finite',
    } == set(facts['clips'][0])
    assert 'the clips are ' + ', '.join(c['id'] for c in facts['clips'][:8]) + ' and 4 more' in text
    _, state = newest_checkpoint(tmp_path / 'run')
    assert state['step'] == 4 and all_finite(state)


def test_the_ledger_of_a_run_that_diverges(run, tmp_path, monkeypatch):
    "What was found unreadable since the last log line is written before the run stops."
    from avnb.runs import RunError
    from avnb.training import fit

    poison(monkeypatch, 7)

    def find_one(s):
        if s.step == 6:
            s.ledger.add([dict(id='toy011', path='toy005.mp4', reason='torn')])

    message(RunError, 'the loss is NaN at step 7', lambda: fit(run('data.max_unreadable=0.5'), monitors=[find_one]))
    assert 'toy011,toy005.mp4,torn,1' in (tmp_path / 'run/ledger.csv').read_text()


def test_an_absurd_learning_rate(run, tmp_path):
    "The networks overflow at the step after the first; nobody else meets it, and what was saved is made of numbers."
    from avnb.runs import RunError, newest_checkpoint
    from avnb.training import fit

    cfg = run('optim.lr=1e30', 'optim.schedule=constant', 'run.checkpoint_every=1', 'optim.epochs=1')
    text = message(
        RunError, 'the loss is NaN at step 1 .learning rate 1e.30, last finite loss .* at step 0', lambda: fit(cfg)
    )
    assert 'lower optim.lr' in text and newest_checkpoint(tmp_path / 'run')[1]['step'] == 1


def test_a_gradient_that_is_no_number(run, tmp_path):
    "The loss is finite and its gradient is not: the step that would spoil the weights is named, not the one after it."
    from avnb.runs import RunError, newest_checkpoint
    from avnb.training import fit

    def break_gradients(s):
        if s.step == 6:
            next(s.model.parameters()).register_hook(lambda g: g * float('inf'))

    watch = keeper()
    message(
        RunError,
        'the loss is [0-9.]+, but its gradient is (NaN|infinite) at step 6',
        lambda: fit(run(), monitors=[watch, break_gradients]),
    )
    assert all_finite(watch.state)
    assert newest_checkpoint(tmp_path / 'run')[1]['step'] == 4


@pytest.mark.parametrize('log_every', [3, 99])
def test_divergence_where_losses_are_looked_at_later(run, tmp_path, monkeypatch, log_every):
    """As on a GPU: at the log line or at the epoch's end, before maps, instruments and monitors; the step named is the
    one where it began."""
    import avnb.training as T

    monkeypatch.setattr(T, '_deferred', lambda device: True)
    poison(monkeypatch, 5)
    watch, cfg = keeper(), run(f'run.log_every={log_every}', 'run.checkpoint_every=5', 'run.save_maps=2')
    text = message(T.RunError, 'the loss is NaN at step 5', lambda: T.fit(cfg, monitors=[watch]))
    assert 'last finite loss' in text and 'at step 4)' in text and [step for _, step in watch.calls if step > 5] == []
    _, state = T.newest_checkpoint(tmp_path / 'run')
    assert state['step'] == 5 and all_finite(state)
    assert [p.name for p in sorted((tmp_path / 'run/maps').iterdir())] == ['epoch-0001.npz']


DIVERGE = """import sys, torch; sys.path.insert(0, {tests!r}); torch.set_num_threads(1)
import os
from toys import config
import avnb.training as T
to_views = T.State.to_views
def poisoned(s, batch):
    index, video, spec = to_views(s, batch)
    if s.step == 6 and s.rank == 1: video[2] = float('inf')
    return index, video, spec
T.State.to_views = poisoned
try: T.fit(config({toy!r}, {run!r}, {options!r}))
except T.RunError as e: print('rank', os.environ['RANK'], 'says', e)
"""


@pytest.mark.parametrize(
    'options', [[], pytest.param(['xid.shard=true'], marks=pytest.mark.slow)], ids=['whole', 'in parts']
)
def test_all_processes_stop_together(run, work, tmp_path, options):
    """What one of two processes was fed is infinite: both say the same and end, and one process alone goes on from what
    was saved."""
    from avnb.training import fit

    (tmp_path / 'script.py').write_text(
        DIVERGE.format(tests=str(HERE), toy=str(work / 'toy'), run=str(tmp_path / 'run'), options=options)
    )
    command = [
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc-per-node',
        '2',
        tmp_path / 'script.py',
    ]
    p = subprocess.run(command, env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=120)
    said = sorted(line for line in p.stdout.splitlines() if line.startswith('rank'))
    assert p.returncode == 0 and len(said) == 2, p.stderr[-3000:]
    assert said[0].split('says')[1] == said[1].split('says')[1] and 'the loss is NaN at step 6' in said[0], said
    facts = json.loads((tmp_path / 'run/nan-step-00000006.json').read_text())
    broken = [c['id'] for c in facts['clips'] if not c['picture_finite']]
    assert len(facts['clips']) == 12 and len(broken) == 1 and f'not finite: {broken[0]}. ' in said[0]
    assert fit(run(*options)).log.step.max() == 20


def test_update_that_is_no_number(run, tmp_path):
    "The loss was finite and the update was not, at a step that saves: the spoilt weights are not saved."
    from avnb.runs import RunError
    from avnb.training import fit

    message(
        RunError,
        'a weight is no number after the update at step 5',
        lambda: fit(run('run.checkpoint_every=6'), monitors=[spoil(6)]),
    )
    assert (tmp_path / 'run/nan-step-00000005.json').exists() and not (tmp_path / 'run/checkpoints').exists()


def sample_config(folder, *options):
    "Training from the sample clips' files."
    from avnb.core import TrainConfig, set_options

    return set_options(
        TrainConfig(),
        [
            f'data.manifest="{SAMPLES}/manifest.csv"',
            'data.split=""',
            'data.size=32',
            'data.fps=8.0',
            'data.rate=8000',
            'data.batch=12',
            'data.workers=1',
            'view.size=32',
            'view.stride=1',
            'view.hop=250',
            'view.mels=32',
            'model.width=8',
            'model.dim=16',
            'optim.epochs=2',
            'run.device=cpu',
            'run.log_every=1',
            'run.checkpoint_every=2',
            'run.save_maps=0',
            f'run.folder="{folder}"',
            *options,
        ],
    )


def readers():
    return [p for p in multiprocessing.active_children() if 'Loky' not in type(p).__name__]  # joblib keeps its own


def test_reading_process_killed(tmp_path):
    "A reading process dies of SIGKILL, as the system's memory guard does it: an error, and no waiting for ever."
    from avnb.core import AvnbError
    from avnb.training import fit

    def kill(s):
        if s.step == 1:
            os.kill(readers()[0].pid, signal.SIGKILL)

    text = message(
        AvnbError,
        'reading process was killed',
        lambda: fit(sample_config(tmp_path / 'run', 'data.workers=2'), monitors=[kill]),
    )
    assert 'data.workers' in text and not readers()


SCRIPT = """import sys, torch; sys.path.insert(0, {tests!r}); torch.set_num_threads(1)
from toys import plant; plant('slow:0.3')
from test_bad_training import sample_config
from avnb.training import RunStopped, fit
try: fit(sample_config({run!r}, 'data.workers=2', 'optim.epochs=20', 'run.checkpoint_every=999', 'run.log_every=2'))
except RunStopped as e: print(e); sys.exit(e.exit_code)
"""  # no `if __name__ == '__main__'`: readers do not run it


def start(tmp_path, *launcher):
    "A training with reading processes, in a session of its own; returns when it has written a line."
    (tmp_path / 'script.py').write_text(SCRIPT.format(tests=str(HERE), run=str(tmp_path / 'run')))
    p = subprocess.Popen(
        [sys.executable, *launcher, tmp_path / 'script.py'],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until((tmp_path / 'run/log.csv').exists, p)
    return p


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_job(tmp_path, number):
    """As schedulers and terminals send it, reading processes included: the run saves and ends with 75, and nothing of
    it is left."""
    p = start(tmp_path)
    os.killpg(p.pid, number)
    out = p.communicate(timeout=60)[0]  # waits until nobody holds the pipe
    assert (
        p.returncode == 75
        and 'everything is saved' in out
        and len(list((tmp_path / 'run/checkpoints').glob('step-*.pt'))) == 1
    ), out[-3000:]


def test_two_trainings_in_one_folder(run, work, tmp_path):
    "The second is refused while the first goes on; the first, killed, holds nothing and is gone on from."
    from avnb.runs import RunError
    from avnb.training import fit

    p = subprocess.Popen(
        [sys.executable, HERE / 'toys.py', work / 'toy', json.dumps([[str(tmp_path / 'run')]]), 'slow:0.2'],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    try:
        until(lambda: list((tmp_path / 'run').glob('checkpoints/step-*.pt')), p)
        half = tmp_path / 'run/checkpoints/.step-00000099.pt.4711.tmp'
        half.touch()  # as one that the first is writing
        message(RunError, 'another process is training in this folder', lambda: fit(run()))
        assert half.exists() and p.poll() is None
    finally:
        p.kill()
        p.wait()
    assert fit(run()).log.step.max() == 20 and not half.exists()


def test_a_killed_training_leaves_no_reading_process(tmp_path):
    p = start(tmp_path)
    os.kill(p.pid, signal.SIGKILL)
    p.communicate(timeout=60)


@pytest.mark.slow
def test_sigterm_to_torchrun_with_reading_processes(tmp_path):
    "torchrun passes the signal on to whole process groups."
    p = start(tmp_path, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2')
    p.terminate()
    out = p.communicate(timeout=120)[0]
    assert (
        p.returncode
        and 'everything is saved' in out
        and len(list((tmp_path / 'run/checkpoints').glob('step-*.pt'))) == 1
    ), out[-3000:]


def test_manifest_that_changed(run, work, tmp_path):
    "One clip replaced by another file between two calls."
    from avnb.runs import RunError
    from avnb.training import fit

    fit(run('optim.epochs=1'))
    other = tmp_path / 'other'
    shutil.copytree(work / 'toy', other)
    for name in ('manifest.csv', 'meta.json'):
        (other / name).write_text((other / name).read_text().replace(f'{7:064x}', 'f' * 64))
    text = message(RunError, 'manifest .* -> ', lambda: fit(config(other, tmp_path / 'run', ['optim.epochs=1'])))
    assert 'added, removed, replaced or moved' in text and 'Nothing was changed' in text


def test_checkpoint_with_code(run, tmp_path):
    "A pickle that would run a command is refused, and does not run; the checkpoint before it is used."
    from avnb.runs import RunError, load_run, read_checkpoint
    from avnb.training import fit

    class Evil:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/ran',)

    cfg = run('optim.epochs=1')
    done = fit(cfg)
    torch.save(dict(step=99, model=Evil()), tmp_path / 'run/checkpoints/step-00000099.pt')
    (tmp_path / 'plain.pt').write_bytes(pickle.dumps(Evil()))
    message(
        RunError,
        'holds code, not only data',
        lambda: read_checkpoint(tmp_path / 'run/checkpoints/step-00000099.pt'),
    )
    message(RunError, 'plain.pt is damaged', lambda: read_checkpoint(tmp_path / 'plain.pt'))
    again = load_run(tmp_path / 'run')
    assert not (tmp_path / 'ran').exists() and all(
        x.equal(y) for x, y in zip(done.model.state_dict().values(), again.model.state_dict().values())
    )


def test_all_checkpoints_damaged(run, tmp_path, capsys):
    "Nothing left to go on from: said so, and started from the beginning."
    from avnb.training import fit

    cfg = run('optim.epochs=1', 'run.keep_checkpoints=3', 'run.checkpoint_every=2')
    first = fit(cfg)
    for p in (tmp_path / 'run/checkpoints').iterdir():
        os.truncate(p, 100)
    again = fit(cfg)
    out = capsys.readouterr().out
    assert out.count('falling back') == 2 and all(
        x.equal(y) for x, y in zip(first.model.state_dict().values(), again.model.state_dict().values())
    )


def test_half_files_of_a_killed_process_are_removed(run, tmp_path):
    from avnb.training import fit

    folder = tmp_path / 'run/checkpoints'
    cfg = run('optim.epochs=1')
    fit(cfg)
    (folder / '.step-00000008.pt.4711.tmp').write_bytes(b'half')
    fit(cfg)
    assert files(folder) == ['step-00000004.pt']
