"Packed sets: shards and arrays, their order, what becomes of them when killed, lost, cut off, scratched or far away."

import functools
import http.server
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import avnb.packed as room
from avnb.clips import ClipDataset, Ledger, clip_loader, epoch_order, shard_order
from avnb.core import DataConfig, TrainConfig, ViewConfig, sha256_file
from avnb.manifest import Manifest
from avnb.media import MediaError, picture_of, sound_of, squeeze, write_clip
from avnb.packed import ClipError, PackedSet, ShardSet, pack, verify

N, SECONDS, FPS, SIZE, RATE, CHUNK = 29, 1.0, 8.0, 32, 8000, 6
HOW = dict(seconds=SECONDS, fps=FPS, size=SIZE, rate=RATE, workers=0, chunk=CHUNK)
DATA, VIEW = (
    DataConfig(seconds=SECONDS, fps=FPS, size=SIZE, rate=RATE, batch=4, max_unreadable=0.5),
    ViewConfig(frames=3, stride=1, audio_seconds=0.5),
)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "(manifest of 29 small videos of which number 11 is rubbish, its shards, its arrays)."
    folder, g = tmp_path_factory.mktemp('made'), np.random.default_rng(0)
    for k in range(N):
        frames = np.kron(g.integers(0, 255, (10, 8, 8, 3), np.uint8), np.ones((1, 5, 5, 1), np.uint8))
        write_clip(
            folder / f'{k:02}.mp4', frames, (0.3 * g.standard_normal(10000)).clip(-1, 1).astype(np.float32), FPS, RATE
        )
    (folder / '11.mp4').write_text('rubbish ' * 99)
    table = pd.DataFrame(
        dict(
            id=[f'c{k}' for k in range(N)],
            path=[f'{k:02}.mp4' for k in range(N)],
            start_s=np.arange(N) % 3 * 0.07,
            seconds=SECONDS,
            split='train',
            content_hash=[sha256_file(folder / f'{k:02}.mp4') for k in range(N)],
        )
    )
    m = Manifest(folder, table)
    return m, pack(m, folder / 'shards', layout='shards', **HOW), pack(m, folder / 'raw', **HOW)


@pytest.fixture
def copied(made, tmp_path):
    "The shards, to be damaged."
    shutil.copytree(made[1].folder, tmp_path / 'shards')
    return made[0], tmp_path / 'shards'


def same(x, y):
    return all(torch.equal(getattr(x, f), getattr(y, f)) for f in ('index', 'frames', 'waveform')) and x.bad == y.bad


def run(m, packed, epoch=3, seed=5, **k):
    return list(clip_loader(ClipDataset(m, DATA, VIEW, seed, packed), 4, epoch, **k))


# ---- what is in them


@pytest.mark.parametrize('seed', range(3))
def test_a_packed_clip_gives_any_frames_and_samples(seed):
    g = np.random.default_rng(seed)
    t, size, gop, rate = (
        int(g.integers(1, 40)),
        2 * int(g.integers(4, 40)),
        int(g.integers(1, 12)),
        int(g.choice([4000, 16000, 22050])),
    )
    frames, sound = (
        g.integers(0, 255, (t, size, size, 3), np.uint8),
        g.uniform(-1, 1, int(g.integers(1, 40000))).astype(np.float32),
    )
    mp4, wav = squeeze(frames, sound, 16, rate, gop=gop, crf=1)
    import av

    with av.open(io.BytesIO(mp4)) as c:
        everything = np.stack([f.to_ndarray(format='rgb24') for f in c.decode(video=0)])
    assert len(everything) == t and (mp4, wav) == squeeze(frames, sound, 16, rate, gop=gop, crf=1)
    for _ in range(5):
        numbers = np.sort(g.integers(0, t + 5, int(g.integers(1, 9))))
        first, n = int(g.integers(0, len(sound) + 9)), int(g.integers(1, 30000))
        assert np.abs(picture_of(mp4, numbers).astype(int) - everything[np.minimum(numbers, t - 1)]).max() <= 1
        want = np.zeros(n, np.float32)
        there = sound[first : first + n]
        want[: len(there)] = there
        assert np.abs(sound_of(wav, first, n) - want).max() <= 0.51 / 32767
    for f, x in ((picture_of, mp4), (sound_of, wav)):
        with pytest.raises(MediaError, match='does not decode'):
            f(x[: len(x) // 9], *([[0]] if f is picture_of else [0, len(sound)]))


def test_shards_give_the_arrays_pictures_and_exactly_their_sound(made):
    m, shards, raw = made
    assert shards.bad.keys() == raw.bad.keys() == {11} and len(shards) == len(raw) == N and 'shards' in repr(shards)
    for x, y in zip(run(m, shards), run(m, raw), strict=True):
        assert torch.equal(x.index, y.index) and torch.equal(x.waveform, y.waveform) and x.bad == y.bad
        apart = lambda a, b: (a.float() - b.float()).abs().mean()
        assert (
            apart(x.frames, y.frames) < 15 and apart(x.frames, y.frames.roll(1, 0)) > 40
        )  # squares of random colours: what H.264 keeps worst


def test_webdataset_reads_them(made):
    import webdataset

    m, shards, _ = made
    stream = webdataset.WebDataset([str(p) for p in sorted(shards.folder.glob('*.tar'))], shardshuffle=False)
    seen = {int(s['__key__']): (s['mp4'], s['wav'], json.loads(s['json'])['id']) for s in stream}
    assert sorted(seen) == [k for k in range(N) if k != 11] and all(
        seen[k] == (*shards.members(k), f'c{k}') for k in seen
    )


# ---- order


def test_order_is_a_function_of_seed_and_epoch_whatever_reads(made):
    m, shards, raw = made
    whole = run(m, shards)
    assert (
        [i for b in whole for i in b.index.tolist()]
        == [i for b in run(m, raw) for i in b.index.tolist()]
        == [i for b in run(m, '') for i in b.index.tolist()]
    )
    assert not all(torch.equal(x.index, y.index) for x, y in zip(whole, run(m, shards, epoch=4))) and not torch.equal(
        whole[0].index, run(m, shards, seed=6)[0].index
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for workers in (1, 3):
            assert all(map(same, whole, run(m, shards, workers=workers)))
    for start in (1, 4, len(whole)):
        assert (
            all(map(same, whole[start:], run(m, shards, start=start)))
            and len(run(m, shards, start=start)) == len(whole) - start
        )
    halves = [run(m, shards, rank=r, world=2) for r in range(2)]
    assert all(
        torch.equal(torch.cat([l.index, r.index]), o.index) and torch.equal(torch.cat([l.frames, r.frames]), o.frames)
        for o, l, r in zip(whole, *halves)
    )


@pytest.mark.parametrize('seed', range(4))
def test_many_shards_are_read_a_few_at_a_time(seed):
    g = np.random.default_rng(seed)
    shard, mix = np.sort(g.integers(0, 40, 500)), int(g.integers(1, 9))
    order = shard_order(shard, mix, seed, epoch=2)
    assert (
        sorted(order) == list(range(500))
        and (order == shard_order(shard, mix, seed, 2)).all()
        and (order != shard_order(shard, mix, seed, 3)).any()
    )
    windows, now = [], set()
    for s in shard[order]:
        if s not in now and len(now) == mix:
            windows.append(now)
            now = set()
        now.add(s)
    windows.append(now)
    assert len(windows) == -(-len(set(shard)) // mix) and sum(map(len, windows)) == len(
        set(shard)
    )  # no shard comes back
    first = shard[order][: sum(np.isin(shard, list(windows[0])))]
    assert mix == 1 or (np.diff(first) != 0).mean() > 0.3  # and they are mixed
    assert (shard_order(shard, 40, seed, 2) == epoch_order(500, seed, 2)).all()


def test_a_set_with_a_small_mix_is_served_in_that_order(made):
    m, shards, _ = made
    few = PackedSet.load(shards.folder)
    few.meta['mix'] = 2
    rows = [i for b in run(m, few, drop_last=False) for i in b.index.tolist()]
    assert (
        len(rows) == N and len(set(rows)) >= N - 1 and len({r // CHUNK for r in rows[:10]}) <= 2 + 1
    )  # + 1: the replacement of the unreadable one


# ---- killed, lost, cut off, scratched


def test_a_killed_packing_goes_on_and_gives_the_same_bytes(made, tmp_path, capsys):
    m, shards, raw = made
    m.save(tmp_path / 'm.csv')
    for layout, want, point in (('shards', shards, 'third shard'), ('raw', raw, 'third chunk')):
        out = tmp_path / layout
        code = (
            'import sys, os, signal\nimport avnb.packed as r\nfrom avnb.manifest import Manifest\n'
            'real, n = r.read_clip, []\n'
            'def dies(*a, **k):\n    n.append(1)\n'
            f"    if len(n) == {2 * CHUNK + 3} + 8 * ('{layout}' == 'shards'): os.kill(os.getpid(), signal.SIGKILL)\n"
            '    return real(*a, **k)\n'
            'r.read_clip = dies\n'
            f"r.pack(Manifest.load(r'{tmp_path / 'm.csv'}'), r'{out}', layout='{layout}', **{HOW!r})"
        )
        assert (
            subprocess.run([sys.executable, '-c', code], capture_output=True, timeout=120).returncode == -signal.SIGKILL
        )
        part = out.with_name(out.name + '.partial')
        assert not out.exists() and len((part / 'journal.jsonl').read_text().splitlines()) == 2
        with open(part / 'journal.jsonl', 'a') as f:
            f.write('[12, {"1": "half a li')
        capsys.readouterr()
        again = pack(m, out, layout=layout, **HOW)
        assert 'going on: 2 of 5 chunks' in capsys.readouterr().out and not part.exists() and verify(again, 0) == []
        files = ['index.csv'] + [f'{k:06}.tar' for k in range(5)] if layout == 'shards' else ['frames.u8', 'audio.i16']
        assert not list(out.glob('.*'))  # nor does half a shard stay behind
        for f in files:
            assert (out / f).read_bytes() == (want.folder / f).read_bytes(), f


@pytest.mark.parametrize('layout', ['raw', 'shards'])
@pytest.mark.parametrize('point', ['replace', 'unlink'])
def test_a_packing_killed_at_the_very_end_is_never_empty(made, tmp_path, monkeypatch, layout, point):
    "Between the last chunk and the name of the folder: the next call finishes what is there, or makes all of it."
    from avnb import packed as packing

    m, shards, raw = made
    want = shards if layout == 'shards' else raw
    out = tmp_path / layout
    real = packing.os.replace

    def killed(a, b, *k):
        if Path(a).name.endswith('.partial'):
            if point == 'unlink':
                (Path(a) / 'plan.json').unlink()  # an older avnb removed the plan first
            raise KeyboardInterrupt
        return real(a, b, *k)

    with monkeypatch.context() as mp, pytest.raises(KeyboardInterrupt):
        mp.setattr(packing.os, 'replace', killed)
        pack(m, out, layout=layout, **HOW)
    got = pack(m, out, layout=layout, **HOW)
    for x, y in zip(run(m, want), run(m, got), strict=True):
        assert same(x, y)
    assert not (out / 'plan.json').exists()


def test_size_is_said_before_anything_is_made_and_is_about_right(made, tmp_path, capsys):
    m, *_ = made
    capsys.readouterr()
    out = pack(m, tmp_path / 'x', layout='shards', **HOW).folder
    said = float(re.search(r'about ([\d.]+) MB', capsys.readouterr().out)[1])
    real = sum(f.stat().st_size for f in out.glob('*.tar')) / 1e6
    assert 0.6 * real < said < 1.4 * real
    with pytest.raises(ClipError, match='even number of pixels'):
        pack(m, tmp_path / 'y', layout='shards', **dict(HOW, size=33))
    with pytest.raises(ClipError, match="expected 'raw' or 'shards'"):
        pack(m, tmp_path / 'y', layout='zip', **HOW)
    with pytest.raises(ClipError, match='holds another packed set'):
        pack(m, tmp_path / 'x', layout='shards', **dict(HOW, size=34))
    assert not (tmp_path / 'y').exists() and not (tmp_path / 'y.partial').exists()


@pytest.mark.parametrize('harm', ['missing', 'truncated'])
def test_a_lost_shard_is_said_at_once_and_made_again(copied, made, harm, capsys):
    m, folder = copied
    f = folder / '000002.tar'
    before = f.read_bytes()
    f.unlink() if harm == 'missing' else os.truncate(f, len(before) // 2)
    with pytest.raises(
        ClipError,
        match=r'1 of 5 shards are missing or cut off, the first 000002.tar; copy them again, or repeat the avnb pack',
    ):
        PackedSet.load(folder)
    with pytest.raises(ClipError, match='000002.tar'):
        ClipDataset(m, DATA, VIEW, packed=str(folder))
    untouched = (folder / '000001.tar').stat().st_mtime_ns
    again = pack(m, folder, layout='shards', **HOW)
    assert (
        'made again' in capsys.readouterr().out
        and f.read_bytes() == before
        and (folder / '000001.tar').stat().st_mtime_ns == untouched
    )
    assert (folder / 'index.csv').read_bytes() == (made[1].folder / 'index.csv').read_bytes() and all(
        map(same, run(m, made[1]), run(m, again))
    )


@pytest.mark.parametrize(
    'harm, reason',
    [
        ('missing', 'shard cannot be read: No such file'),
        ('truncated', 'shard is cut off'),
        ('scratched', 'checksum of clip'),
    ],
)
def test_a_shard_that_goes_bad_during_a_run_goes_to_the_ledger(copied, made, harm, reason):
    m, folder = copied
    ds = ClipDataset(m, DATA, VIEW, 5, str(folder))
    f = folder / '000000.tar'
    if harm == 'missing':
        f.unlink()
    elif harm == 'truncated':
        os.truncate(f, 700)
    else:
        data = bytearray(f.read_bytes())
        data[ds.shards.at[2, 1] + 99] ^= 8
        f.write_bytes(data)
    batches = list(clip_loader(ds, 4, 3))
    bad = [e for b in batches for e in b.bad]
    whole = run(m, made[1])
    lost = {'c2'} if harm == 'scratched' else {f'c{k}' for k in range(6)}
    assert lost <= {e['id'] for e in bad} <= lost | {'c11'} and all(
        reason in e['reason'] for e in bad if e['id'] != 'c11'
    )
    for x, y in zip(batches, whole, strict=True):
        for k, (i, j) in enumerate(zip(x.index.tolist(), y.index.tolist())):
            if f'c{j}' in lost:
                assert i != j and f'c{i}' not in lost  # replaced
            elif i == j:
                assert torch.equal(x.frames[k], y.frames[k])
    tight = Ledger(N, 0.03)
    if harm != 'scratched':
        with pytest.raises(ClipError, match='cannot be read, .*the budget is 3.0%'):
            tight.add(bad)
    assert {k for k, _ in verify(ds.shards, 0)} == {int(i[1:]) for i in lost}


def test_verify_finds_one_wrong_bit_anywhere(copied, made, tmp_path):
    m, folder = copied
    shards, g = PackedSet.load(folder), np.random.default_rng()
    for _ in range(5):
        k = int(g.choice([k for k in range(N) if k != 11]))
        s, a, n, b, l, _ = shards.at[k]
        f = folder / f'{s:06}.tar'
        before = f.read_bytes()
        data = bytearray(before)
        data[int(g.choice([g.integers(a, a + n), g.integers(b, b + l)]))] ^= 1 << int(g.integers(8))
        f.write_bytes(data)
        assert [x for x, _ in verify(shards, 0)] == [k]
        f.write_bytes(before)
    assert verify(folder, 0) == []
    shutil.copytree(made[2].folder, tmp_path / 'raw')
    row = int(g.integers(N))
    per = SIZE * SIZE * 3 * int(SECONDS * FPS)
    with open(tmp_path / 'raw' / 'frames.u8', 'r+b') as f:
        f.seek(row * per + 77)
        x = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([x[0] ^ 1]))
    assert [x for x, _ in verify(tmp_path / 'raw', 0)] == [row // CHUNK * CHUNK] and verify(made[2], 0) == []


# ---- far away


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked, fails = [], {}  # path -> how often it still fails

    def log_message(self, *a):
        self.asked.append(self.path)

    def do_GET(self):
        if self.fails.get(self.path, 0) > 0:
            self.fails[self.path] -= 1
            return self.send_error(503)
        super().do_GET()


@pytest.fixture
def web(copied, tmp_path, monkeypatch):
    "(manifest, folder that is served, its address)."
    monkeypatch.setenv('AVNB_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(room, '_AGAIN', (0.01, 0.02))
    Quiet.asked, Quiet.fails = [], {}
    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Quiet, directory=str(copied[1].parent))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield *copied, f'http://127.0.0.1:{server.server_port}/shards'
    server.shutdown()
    server.server_close()


def test_shards_stream_from_a_web_address(web, made, tmp_path):
    m, folder, url = web
    far = ClipDataset(m, DATA, VIEW, 5, url)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert all(map(same, run(m, made[1]), clip_loader(far, 4, 3, workers=2)))
    tars = [p for p in Quiet.asked if p.endswith('.tar')]
    assert sorted(tars) == [f'/shards/{k:06}.tar' for k in range(5)]  # each once, whoever asked first
    far.shards.meta['mix'] = 1  # little room: two shards stay
    for f in far.shards.folder.glob('*.tar'):
        f.unlink()
    whole = [i for b in clip_loader(far, 4, 3, drop_last=False) for i in b.index.tolist()]
    assert len(whole) == N and len(list(far.shards.folder.glob('*.tar'))) <= 2


def test_a_server_that_fails_for_a_moment_costs_no_clip_and_one_that_stays_away_is_not_asked_for_every_clip(
    web, made, monkeypatch
):
    m, folder, url = web
    Quiet.fails = {'/shards/index.csv': 1, '/shards/000000.tar': 2, '/shards/000003.tar': 99}
    far = ClipDataset(m, DATA, VIEW, 5, url)
    monkeypatch.setattr(room, '_GONE', 1e6)
    bad = {e['id'] for b in clip_loader(far, 4, 3) for e in b.bad}
    assert (
        bad == {'c11', *(f'c{k}' for k in range(18, 24))}
        and Quiet.asked.count('/shards/000000.tar') == 3 + 2
        and Quiet.asked.count('/shards/000003.tar') == 2 * 3
    )
    monkeypatch.setattr(room, '_GONE', -1.0)
    far.shards.gone.clear()
    Quiet.fails = {}  # a minute later
    assert {e['id'] for b in clip_loader(far, 4, 3) for e in b.bad} == {'c11'}


def test_the_shard_that_was_read_last_stays(web, made):
    m, folder, url = web
    s = PackedSet.load(url)
    s.meta['mix'] = 1
    there = lambda: sorted(int(p.stem) for p in s.folder.glob('*.tar'))
    for k in (0, 1):
        s.shard(k)
    for k, age in ((0, 100), (1, 50)):
        os.utime(s.folder / f'{k:06}.tar', (1e9 - age,) * 2)
    s.shard(0)
    s.shard(2)
    assert there() == [0, 2]  # 0 is the older one, and in use


def test_a_shard_that_cannot_be_fetched_goes_to_the_ledger_and_a_wrong_address_is_said(web):
    m, folder, url = web
    far = ClipDataset(m, DATA, VIEW, 5, url)
    (folder / '000000.tar').unlink()
    os.truncate(folder / '000001.tar', 5000)
    bad = {e['id']: e['reason'] for b in clip_loader(far, 4, 3) for e in b.bad}
    assert {f'c{k}' for k in range(12)} <= set(bad) and all('shard cannot be read' in bad[f'c{k}'] for k in (1, 7))
    for wrong in (url + '/nowhere', 'http://127.0.0.1:9/x'):
        with pytest.raises(ClipError, match='not a packed set that can be reached'):
            PackedSet.load(wrong)
    with pytest.raises(ClipError, match='mount other stores as a folder'):
        PackedSet.load('s3://bucket/set')


# ---- used


def test_training_reads_shards_like_files(made, tmp_path):
    from avnb.training import fit

    m, shards, _ = made
    Manifest(m.folder, m.table.drop(index=11).assign(audio_codec='aac')).save(m.folder / 'good.csv', overwrite=True)
    logs = []
    for workers in (0, 2):
        cfg = toy_run(m, shards.folder, tmp_path / str(workers), f'data.workers={workers}')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            logs.append(fit(cfg).log)
    assert len(logs[0]) == 8 and logs[0].loss.tolist() == logs[1].loss.tolist() and np.isfinite(logs[0].loss).all()


def toy_run(m, packed, folder, *options):
    "A run of seconds that reads `packed`."
    from avnb.core import set_options

    return set_options(
        TrainConfig(),
        [
            f'data.manifest="{m.folder / "good.csv"}"',
            f'data.packed="{packed}"',
            f'data.seconds={SECONDS}',
            f'data.fps={FPS}',
            f'data.size={SIZE}',
            f'data.rate={RATE}',
            'data.batch=7',
            'view.frames=3',
            'view.stride=1',
            'view.audio_seconds=0.5',
            'view.size=32',
            'view.hop=125',
            'view.n_fft=256',
            'view.mels=32',
            'model.width=8',
            'model.dim=16',
            'optim.epochs=2',
            'run.device=cpu',
            'run.log_every=1',
            'run.checkpoint_every=2',
            f'run.folder="{folder}"',
            *options,
        ],
    )


@pytest.mark.parametrize('harm, workers', [('missing', 2), ('truncated', 0)])
def test_training_goes_on_when_a_shard_goes_bad_and_stops_where_that_is_too_much(copied, tmp_path, harm, workers):
    """From the shard to the run's ledger.csv; without a budget the run stops, names shard and file, and has kept what
    was saved. Started again, it is said at once."""
    from avnb.training import fit

    m, folder = copied
    f = folder / '000001.tar'
    whole = f.read_bytes()
    Manifest(m.folder, m.table.drop(index=11).assign(audio_codec='aac')).save(m.folder / 'good.csv', overwrite=True)

    def spoil(s):
        if s.event == 'log' and s.step == 2:
            f.unlink() if harm == 'missing' else os.truncate(f, 600)

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        run = fit(
            toy_run(m, folder, tmp_path / 'run', 'data.max_unreadable=0.5', f'data.workers={workers}'), monitors=[spoil]
        )
        ledger = pd.read_csv(run.folder / 'ledger.csv')
        assert (
            run.log.step.max() == 8
            and run.log.loss.notna().all()
            and set(ledger.id) <= {f'c{k}' for k in range(6, 11)}
            and len(ledger)
            and ledger.id.is_unique
        )
        assert ledger.reason.str.contains(
            'shard cannot be read: No such file' if harm == 'missing' else 'shard is cut off'
        ).all()
        f.write_bytes(whole)
        strict = toy_run(m, folder, tmp_path / 'strict', 'data.max_unreadable=0.0', f'data.workers={workers}')
        with pytest.raises(ClipError, match=r'clips cannot be read, .*the budget is 0.0%') as e:
            fit(strict, monitors=[spoil])
        assert (
            'shard' in str(e.value)
            and 'Traceback' not in str(e.value)
            and (tmp_path / 'strict/checkpoints/step-00000002.pt').exists()
        )
        left = pd.read_csv(tmp_path / 'strict/ledger.csv')
        assert (
            len(left) and set(left.id) <= {f'c{k}' for k in range(6, 11)} and left.reason.str.contains('shard').all()
        )  # what stopped it can be read afterwards
        with pytest.raises(ClipError, match='1 of 5 shards are missing or cut off, the first 000001.tar'):
            fit(strict)
        f.write_bytes(whole)
        assert fit(strict).log.step.max() == 8


def test_nothing_left_to_read_is_said_by_reading_processes_too(copied):
    m, folder = copied
    ds = ClipDataset(m, DATA, VIEW, 5, str(folder))
    for f in folder.glob('*.tar'):
        os.truncate(f, 10)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for workers in (0, 2):
            with pytest.raises(
                ClipError, match=r'^clip c\d+ .*(shard is cut off|does not open).*10 replacements failed too'
            ) as e:
                list(clip_loader(ds, 4, 3, workers=workers))
            assert 'Traceback' not in str(e.value)


def test_the_command(made, tmp_path, capsys):
    from avnb.cli import main

    m = made[0]
    m.save(m.folder / 'm.csv', overwrite=True)
    command = [
        'pack',
        str(m.folder / 'm.csv'),
        str(tmp_path / 'p'),
        '--layout',
        'shards',
        '--verify',
        '--workers',
        '1',
        '--seconds',
        '1',
        '--fps',
        '8',
        '--size',
        '32',
        '--rate',
        '8000',
    ]
    assert main(command) == 0 and 'verified' in capsys.readouterr().out
    f = tmp_path / 'p' / '000000.tar'
    data = bytearray(f.read_bytes())
    data[ShardSet(tmp_path / 'p', room._meta(tmp_path / 'p')).at[0, 1] + 40] ^= 1
    f.write_bytes(data)
    assert main(command) == 2 and '1 places are damaged' in capsys.readouterr().err
    f.unlink()
    assert main(command) == 0


@pytest.mark.parametrize('source', ['files', 'shards', 'arrays'])
def test_one_sense_alone_is_the_same_as_in_both(made, source):
    "The frames of 'video' and the waveform of 'audio' are those of 'both'; from files the other sense is not decoded."
    m, shards, raw = made
    packed = dict(files='', shards=shards, arrays=raw)[source]
    got = {
        s: ClipDataset(m, DATA, VIEW, packed=packed, train=False, senses=s).fetch([0, 5, 20], 0)
        for s in ('both', 'video', 'audio')
    }
    assert torch.equal(got['video'].frames, got['both'].frames) and got['video'].frames.any()
    assert (got['audio'].waveform - got['both'].waveform).abs().max() < 1e-3 and got['audio'].waveform.any()
    if source == 'files':
        assert not got['audio'].frames.any() and not got['video'].waveform.any()
    with pytest.raises(ClipError, match="senses: expected 'both', 'video' or 'audio', got 'smell'"):
        ClipDataset(m, DATA, VIEW, packed=packed, senses='smell')
