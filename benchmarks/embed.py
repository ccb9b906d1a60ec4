"""Speed of the features that `avnb evaluate retrieval` asks for (both senses in one pass; views, network, SeLaVi's
poolings, colours and loudness, windows, cache on disk) against a bare loop that only reads and runs the network, on
the same clips.

Claim: embedding runs at 0.8 x the bare loop's speed or more. Both sides decode the same mp4 files of a generated
world, then the same packed set, one after the other in turn; the median of the rounds counts. Peak memory is printed
beside it (claim: under 4 GB).

    python benchmarks/embed.py                     # about two minutes on one core
    python benchmarks/embed.py --clips 64 --rounds 1
"""

import argparse
import csv
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
COLUMNS = ['source', 'method', 'seed', 'metric', 'value', 'n']


def bare(network, data, batch):
    "Read, make views, run both networks; keep nothing but the embeddings."
    import torch

    from avnb.clips import clip_loader

    out = []
    with torch.inference_mode():
        for w in range(data.windows):
            for b in clip_loader(data, batch, w, shuffle=False, drop_last=False):
                o = network.model(network.video(b), network.audio(b), local=False)
                out.append((o.video.numpy(), o.audio.numpy()))
    return out


def ours(network, manifest, packed, windows, batch):
    "The same clips as a protocol asks for them, into a fresh cache; the embeddings read back."
    from avnb.protocols import EvalConfig, EvalTask

    with tempfile.TemporaryDirectory() as d:
        f = EvalTask(network, manifest, EvalConfig(windows=windows, batch=batch, seeds=0), d, packed).features('both')[
            'trained'
        ]
        return f.mean('video'), f.mean('audio')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--clips', type=int, default=400)
    p.add_argument('--windows', type=int, default=2)
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--batch', type=int, default=50)
    p.add_argument('--out', default=str(Path(__file__).parent / 'results' / 'embed.csv'))
    a = p.parse_args()
    import numpy as np

    from avnb.clips import ClipDataset
    from avnb.demo import demo_config
    from avnb.network import Network
    from avnb.packed import pack
    from avnb.protocols import uncut
    from avnb.world import write_world

    rows = []
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        world = write_world(d / 'world', a.clips, workers=os.cpu_count())
        cfg = demo_config(d / 'run', d / 'world' / 'manifest.csv', '')
        packed = pack(world, d / 'packed', 2.0, 8.0, 64, 16000, os.cpu_count())
        network = Network(Network.open().model, cfg)
        print(
            f'{"clips from":12} {"bare loop":>12} {"features":>12} {"ratio":>7}   windows per second, median of '
            f'{a.rounds}'
        )
        for source, how in (('mp4 files', ''), ('packed set', packed)):
            data = ClipDataset(
                world,
                uncut(cfg, how or None),
                cfg.view,
                packed=how,
                train=False,
                windows=a.windows,
                aligned=False,
            )
            speed = dict(bare=[], features=[])
            for _ in range(a.rounds):
                for name, f in (
                    ('bare', lambda: bare(network, data, a.batch)),
                    ('features', lambda: ours(network, world, how or None, a.windows, a.batch)),
                ):
                    t = time.perf_counter()
                    got = f()
                    speed[name].append(a.clips * a.windows / (time.perf_counter() - t))
                    if name == 'bare':
                        first = np.concatenate([v for v, _ in got])[: a.clips]
            assert got[0].shape == first.shape
            b, o = (statistics.median(speed[k]) for k in ('bare', 'features'))
            ratio = statistics.median(y / x for x, y in zip(*speed.values()))
            print(f'{source:12} {b:12.0f} {o:12.0f} {ratio:7.2f}')
            rows += [
                [source, m, 0, 'windows_per_s', round(x, 1), a.clips * a.windows]
                for m, x in (('bare', b), ('features', o))
            ] + [[source, 'features', 0, 'ratio', round(ratio, 3), a.clips * a.windows]]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f'peak memory {peak:.2f} GB')
    rows.append(['', 'features', 0, 'peak_gb', round(peak, 2), a.clips])
    Path(a.out).parent.mkdir(exist_ok=True)
    with open(a.out, 'w', newline='') as f:
        w = csv.writer(f, lineterminator='\n')
        w.writerow(COLUMNS)
        w.writerows(rows)


if __name__ == '__main__':
    main()
