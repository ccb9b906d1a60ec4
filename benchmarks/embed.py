"""Speed of the features that `avnb evaluate retrieval` asks for (both senses in one pass; views, network, SeLaVi's
poolings, colours and loudness, windows, cache on disk) against a bare loop that only reads and runs the network, on
the same clips.

Claim: embedding runs at 0.8 x the bare loop's speed or more. Both sides decode the same mp4 files of a generated
world, then the same packed set, one after the other in turn; the median of the rounds counts. Peak memory is printed
beside it (claim: under 4 GB).

    python benchmarks/embed.py                     # about two minutes on one core
    python benchmarks/embed.py --clips 64 --rounds 1
"""

import argparse, csv, os, resource, statistics, tempfile, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
COLUMNS = ['source', 'method', 'seed', 'metric', 'value', 'n']


def bare(model, data, views, batch):
    "Read, make views, run both networks; keep nothing but the embeddings."
    import torch
    from avnb.clips import clip_loader

    out = []
    with torch.inference_mode():
        for w in range(data.windows):
            for b in clip_loader(data, batch, w, shuffle=False, drop_last=False):
                o = model(views[0](b.frames, 0, 0, b.index)[0], views[1](b.waveform, 0, 0, b.index), local=False)
                out.append((o.video.numpy(), o.audio.numpy()))
    return out


def ours(model, cfg, manifest, packed, windows, batch):
    "The same clips as a protocol asks for them, into a fresh cache; the embeddings read back."
    from avnb.evaluation import EvalConfig, Subject

    with tempfile.TemporaryDirectory() as d:
        f = Subject(model, cfg, manifest, EvalConfig(windows=windows, batch=batch, seeds=0), d, packed).features(
            'both'
        )['trained']
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
    from avnb.cli import demo_config
    from avnb.clips import pack
    from avnb.evaluation import OneSense, whole
    from avnb.training import load_model
    from avnb.views import views_from
    from avnb.world import write_world

    model, rows = load_model()[0].eval(), []
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        world = write_world(d / 'world', a.clips, workers=os.cpu_count())
        cfg = demo_config(d / 'run', d / 'world' / 'manifest.csv', '')
        packed = pack(world, d / 'packed', 2.0, 8.0, 64, 16000, os.cpu_count())
        views = views_from(cfg, False)
        print(
            f'{"clips from":12} {"bare loop":>12} {"features":>12} {"ratio":>7}   windows per second, median of '
            f'{a.rounds}'
        )
        for source, how in (('mp4 files', ''), ('packed set', packed)):
            data = OneSense(world, whole(cfg, how or None), cfg.view, packed=how, train=False, windows=a.windows)
            speed = dict(bare=[], features=[])
            for _ in range(a.rounds):
                for name, f in (
                    ('bare', lambda: bare(model, data, views, a.batch)),
                    ('features', lambda: ours(model, cfg, world, how or None, a.windows, a.batch)),
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
