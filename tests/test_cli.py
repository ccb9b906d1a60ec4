"""Commands as a user types them, in a process of their own: what goes wrong is said in one line, and nothing is
overwritten."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from avnb.core import AvnbError, atomic_write
from avnb.media import write_clip


def avnb(*words, cwd, **env):
    "(exit code, stdout, stderr) of a command."
    r = subprocess.run(
        [sys.executable, '-m', 'avnb', *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        env=dict(os.environ, OMP_NUM_THREADS='1', **env),
    )
    return r.returncode, r.stdout, r.stderr


def one_line(code, err, *words):
    "The command failed with one line that holds these words, and no traceback."
    assert code == 2 and 'Traceback' not in err, err
    assert len(err.strip().splitlines()) == 1, err
    for w in words:
        assert w in err, (w, err)


def video(path, seconds=2.0, sound=True, seed=0):
    "A small file: noise for a picture, a tone for a sound."
    r = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(16000 * seconds)) / 16000
    write_clip(
        path,
        r.integers(0, 255, (int(16 * seconds), 48, 48, 3), dtype=np.uint8),
        (0.2 * np.sin(2 * np.pi * 440 * t)).astype(np.float32) if sound else None,
        16,
        16000,
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def test_help_teaches_every_verb(folder):
    code, out, _ = avnb('--help', cwd=folder)
    assert code == 0
    for verb in ('demo', 'world', 'index', 'pack', 'train', 'evaluate', 'attend', 'lab'):
        assert verb in out
        code, text, _ = avnb(verb, '--help', cwd=folder)
        assert code == 0 and f'avnb {verb}' in text and 'example' in text


def test_demo_on_folders_that_hold_nothing(folder):
    (folder / 'empty').mkdir()
    (folder / 'text').mkdir()
    (folder / 'text' / 'a.txt').write_text('hello')
    for name in ('empty', 'text', 'missing'):
        code, _, err = avnb('demo', name, cwd=folder)
        one_line(code, err, name)


def test_demo_without_sound(folder):
    for i in range(3):
        video(folder / 'mute' / f'{i}.mp4', sound=False, seed=i)
    code, _, err = avnb('demo', 'mute', cwd=folder)
    one_line(code, err, 'sound')


def test_demo_on_one_clip(folder):
    video(folder / 'one' / 'a.mp4')
    code, _, err = avnb('demo', 'one', cwd=folder)
    one_line(code, err)


def test_unknown_setting_names_the_nearest(folder):
    code, _, err = avnb('train', '--set', 'soft.lamda=0.2', cwd=folder)
    one_line(code, err, "'soft.lam'")
    code, _, err = avnb('train', '--set', 'optim.epochs=many', cwd=folder)
    one_line(code, err, 'optim.epochs', 'int', 'many')


def test_a_folder_with_another_world_is_left_alone(folder):
    assert avnb('world', 'w', '--clips', 12, '--workers', 1, cwd=folder)[0] == 0
    before = {p: p.stat().st_mtime_ns for p in (folder / 'w').rglob('*')}
    code, _, err = avnb('world', 'w', '--clips', 12, '--seed', 1, cwd=folder)
    one_line(code, err, 'another world', 'seed')
    (folder / 'mine').mkdir()
    (folder / 'mine' / 'thesis.txt').write_text('years')
    code, _, err = avnb('world', 'mine', '--clips', 12, cwd=folder)
    one_line(code, err, 'not empty')
    assert before == {p: p.stat().st_mtime_ns for p in (folder / 'w').rglob('*')}


def test_world_goes_on_where_it_was_stopped(folder):
    """A killed process leaves whole clips and a journal; the next call makes the rest, and the result is that of one
    call."""
    assert avnb('world', 'whole', '--clips', 24, '--workers', 1, cwd=folder)[0] == 0
    p = subprocess.Popen([sys.executable, '-m', 'avnb', 'world', 'cut', '--clips', '24', '--workers', '1'], cwd=folder)
    journal = folder / 'cut' / '.rows.jsonl'
    while p.poll() is None and not (journal.exists() and journal.read_text().count('\n') >= 5):
        pass
    p.kill()
    p.wait()
    assert not (folder / 'cut' / 'manifest.csv').exists()
    assert avnb('world', 'cut', '--clips', 24, '--workers', 1, cwd=folder)[0] == 0
    assert (folder / 'cut' / 'manifest.csv').read_text() == (folder / 'whole' / 'manifest.csv').read_text()


def test_a_full_disk_leaves_the_old_file(folder, monkeypatch):
    f = folder / 'report.json'
    f.write_text('{"old": 1}')

    def full(fd):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(AvnbError, match='disk is full'):
        with atomic_write(f, 'w') as g:
            g.write('{"new": 2}')
    assert f.read_text() == '{"old": 1}' and list(folder.iterdir()) == [f]


def test_an_unwritable_folder_is_said_to_be_so(folder, monkeypatch):
    if os.geteuid() == 0:
        pytest.skip('the superuser may write everywhere; run as another user to see this one')
    (folder / 'locked').mkdir(mode=0o500)
    code, _, err = avnb('world', 'locked/w', '--clips', 12, cwd=folder)
    one_line(code, err, 'permission')


def test_rehearsal_of_the_demo_twice(folder):
    """The whole chain with tiny sizes, from a folder that is not the repository; the second run skips what is done, a
    changed one does not pass for it."""
    code, out, err = avnb('demo', '--tiny', '--workers', 1, cwd=folder)
    assert code == 0, err
    run = folder / 'runs' / 'demo'
    assert (run / 'index.html').stat().st_size > 50_000 and len(list((run / 'overlays').glob('*.mp4'))) == 2
    report = json.loads((run / 'report.json').read_text())
    for name in (
        'linear_video',
        'linear_audio',
        'retrieval_class_v2a_r1',
        'auroc_wrong_track',
        'pointing_guided',
        'frequency_hit_guided',
    ):
        assert {'value', 'error', 'chance', 'n', 'baselines'} <= set(report[name]), name
    code, out, _ = avnb('demo', '--tiny', '--workers', 1, cwd=folder)
    assert code == 0 and out.count('skipped because') == 5
    code, out, err = avnb('demo', '--tiny', '--workers', 1, '--set', 'optim.lr=0.001', cwd=folder)
    assert out.count('skipped because') == 2
    one_line(code, err, 'another')


@pytest.mark.parametrize('given, found', [(None, '1000'), ('7', '7')])
def test_waiting_threads_do_not_spin(folder, given, found):
    "Set before torch is loaded, because OpenMP reads it then; a setting of the user's own stays."
    env = {k: v for k, v in os.environ.items() if k != 'GOMP_SPINCOUNT'} | ({'GOMP_SPINCOUNT': given} if given else {})
    code = (
        'import os, sys\n'
        'from avnb.cli import main\n'
        'assert "torch" not in sys.modules\n'
        'main(["train", "--print-config"])\n'
        'print("spin", os.environ["GOMP_SPINCOUNT"])'
    )
    r = subprocess.run([sys.executable, '-c', code], cwd=folder, capture_output=True, text=True, env=env, timeout=120)
    assert r.stdout.splitlines()[-1] == f'spin {found}', r.stderr


def test_a_demo_stays_out_of_folders_it_did_not_make(folder):
    mine = folder / 'mine'
    mine.mkdir()
    (mine / 'windows.csv').write_text('my own list')
    code, _, err = avnb('demo', '--tiny', '--folder', mine, cwd=folder)
    one_line(code, err, 'steps.json', '--folder')
    assert [p.name for p in mine.iterdir()] == ['windows.csv'] and (mine / 'windows.csv').read_text() == 'my own list'


def test_attend_does_not_write_over_its_input(folder):
    video(folder / 'a.mp4')
    before = (folder / 'a.mp4').read_bytes()
    code, _, err = avnb('attend', 'tiny', 'a.mp4', '--out', folder / '.' / 'a.mp4', cwd=folder)
    one_line(code, err, 'a.mp4', '--out')
    assert (folder / 'a.mp4').read_bytes() == before
    code, out, err = avnb('attend', 'tiny', 'a.mp4', '--seconds', '1', '--out', 'look.mp4', cwd=folder)
    assert code == 0 and out.splitlines()[-1] == 'look.mp4' and (folder / 'look.mp4').stat().st_size > 1000, err
