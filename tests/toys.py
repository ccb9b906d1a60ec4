"""A toy training set in the packed layout, and a process to train on it that can be killed at a chosen point.

python toys.py FOLDER RUNS_JSON [KILL]      RUNS: [[folder, options, dtype], ...]   KILL: step:K  log:K  write:N
rename:N  epoch:K  maps:EPOCH  slow:SECONDS"""

import io
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np


def toy_set(folder, n=48, size=32, rate=4000, frames=32, seed=0):
    """n clips of four kinds, picture and pitch of each kind belonging together; every fourth clip has another kind's
    sound."""
    import pandas as pd

    from avnb.manifest import Manifest
    from avnb.packed import adopt

    g = np.random.default_rng(seed)
    kind = np.arange(n) % 4
    sound = np.where(np.arange(n) % 16 < 4, (kind + 1) % 4, kind)
    s = np.arange(frames * rate // 16) / rate
    pictures = g.integers(40, 80, (n, frames, size, size, 3), np.uint8)
    for p, k in zip(pictures, kind):
        p[:, 4 + 6 * k : 12 + 6 * k, 8:20, k % 3] = 220
    waves = 9000 * np.sin(2 * np.pi * (300 + 400 * sound[:, None]) * s) + g.normal(0, 300, (n, len(s)))
    folder = Path(folder)
    folder.mkdir(parents=True)
    pictures.tofile(folder / 'frames.u8')
    waves.astype(np.int16).tofile(folder / 'audio.i16')
    table = pd.DataFrame(
        dict(
            id=[f'toy{i:03}' for i in range(n)],
            path=[f'toy{i // 2:03}.mp4' for i in range(n)],
            start_s=np.arange(n) % 2 * 2.0,
            seconds=2.0,
            split='train',
            label=kind.astype(str),
            faulty_kind=np.where(kind == sound, 'none', 'wrong_track'),
            content_hash=[f'{i:064x}' for i in range(n)],
            audio_codec='pcm',
        )
    )
    Manifest(folder, table).save(folder / 'manifest.csv')
    m = Manifest.load(folder / 'manifest.csv')
    adopt(folder, m, frames / 16, 16.0, size, rate, whole=(size, size))
    return folder


def config(folder, run, options=()):
    "A config of seconds: 4 steps in an epoch, a bank from epoch 1 on, and all of the objective switched on half way."
    from avnb.core import TrainConfig, set_options

    return set_options(
        TrainConfig(),
        [
            f'data.packed="{folder}"',
            'data.size=32',
            'data.rate=4000',
            'data.batch=12',
            'view.size=32',
            'view.hop=125',
            'view.n_fft=256',
            'view.mels=32',
            'model.width=8',
            'model.dim=16',
            'optim.epochs=5',
            'run.device=cpu',
            'run.log_every=3',
            'run.checkpoint_every=4',
            f'run.folder="{run}"',
            'weight.enabled=true',
            'weight.start=0.5',
            'soft.estimator=cycle',
            'soft.start=0.6',
            'cmac.alpha=0.5',
            *options,
        ],
    )


def until(there, process, seconds=120):
    "Wait for something that a process brings about; fails when the process ends first, or when it takes too long."
    end = time.time() + seconds
    while not there():
        assert process.poll() is None, f'the process ended with {process.returncode}'
        assert time.time() < end, f'not there after {seconds} s'
        time.sleep(0.05)


def plant(kill):
    "Make this process kill itself (SIGKILL, no clean-up) at a point of the training."
    import torch

    import avnb.core
    import avnb.training as T

    where, k = kill.split(':')
    k = float(k)
    calls = []
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)

    def before(owner, name, test, act=die):
        old = getattr(owner, name)

        def new(*a, **kw):
            if test(*a):
                act(*a) if act is not die else die()
            return old(*a, **kw)

        setattr(owner, name, new)

    nth = lambda *a: (calls.append(1), len(calls) == k)[1]
    half = lambda state, f: (
        lambda b: (torch.serialization.save(state, b), f.write(b.getvalue()[: b.tell() // 2]), f.flush(), die())
    )(io.BytesIO())
    if where == 'step':
        before(T.State, 'to_views', lambda s, b: s.step == k)  # in the middle of step k
    if where == 'log':
        before(T.State, 'save', lambda s: s.step == k)  # the log line is there, its checkpoint is not
    if where == 'epoch':
        before(T.State, 'end_epoch', lambda s: s.epoch == k)
    if where == 'maps':
        before(T.State, 'save_maps', lambda s: s.epoch == k)
    if where == 'write':
        before(torch, 'save', nth, half)  # half of the checkpoint is on the disk
    if where == 'slow':
        before(T.State, 'to_views', lambda *a: True, lambda *a: time.sleep(k))  # every step takes k seconds longer
    if where == 'rename':
        before(avnb.core.os, 'replace', lambda a, b: str(b).endswith('.pt') and nth())


def train(folder, run, options=(), dtype='float32'):
    "Train the toy; in float64 when asked to."
    import torch

    import avnb.training as T

    if os.environ.get('TOY_DETERMINISTIC'):
        torch.use_deterministic_algorithms(True, warn_only=True)
    keep = T.new_model, T.MemoryBank, T.State.to_views
    if dtype == 'float64':
        T.new_model, T.MemoryBank = lambda cfg: keep[0](cfg).double(), lambda *a, **kw: keep[1](*a, **kw).double()
        T.State.to_views = lambda s, batch: [x.double() if x.is_floating_point() else x for x in keep[2](s, batch)]
    try:
        return T.fit(config(folder, run, options))
    finally:
        T.new_model, T.MemoryBank, T.State.to_views = keep


if __name__ == '__main__':
    folder, runs, *kill = sys.argv[1:]
    if kill:
        plant(kill[0])
    import torch.distributed as dist

    for run in json.loads(runs):
        run = train(folder, *run)
        if dist.is_initialized():  # model and bank (unless in parts) are the same on all ranks
            mine = [
                x.tolist()
                for part in ([run.model] if run.cfg.xid.shard else [run.model, run.bank])
                for x in part.state_dict().values()
            ]
            everyone = [None] * dist.get_world_size()
            dist.all_gather_object(everyone, mine)
            assert all(x == mine for x in everyone), 'ranks differ'
