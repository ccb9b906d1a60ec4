#!/usr/bin/env python3
"""Bring everything made from the notebooks up to date, then check it. Run it after editing a notebook:

    make prepare                             whatever changed
    .venv/bin/python tools/prepare.py nbs/31_nce.ipynb      these notebooks only
    .venv/bin/python tools/prepare.py --all                 execute every notebook again

1. export    code cells marked `#| export` become avnb/*.py
2. execute   each notebook whose code, or whose part of the package, changed since its outputs were stored; every one
             from a clean kernel in a process of its own. A cell marked `#| eval: false` is left as it is
3. clean     no execution counts, no cell metadata, no widget state
4. README    README.md is nbs/index.ipynb as Markdown
5. lock      nbs/outputs.lock remembers what each notebook's outputs were made from
6. check     pytest tests/test_sync.py
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
KERNEL = dict(name='python3', display_name='Python 3 (ipykernel)', language='python')
DIRECTIVE = re.compile(r'^#\s*\|.*\n?', re.M)
WIDGET = 'application/vnd.jupyter.widget-view+json'


def notebooks(root=ROOT):
    "Every notebook of the repository, in reading order; names that start with `_` or `.` are nobody's business."
    return sorted(
        p for p in (root / 'nbs').rglob('*.ipynb') if not any(part[0] in '_.' for part in p.relative_to(root).parts)
    )


def export(root=ROOT):
    """Write `avnb/*.py` from the notebooks under `root`; nbdev finds its settings in the working directory, hence a
    process."""
    subprocess.run(
        [sys.executable, '-c', 'from nbdev.doclinks import nbdev_export; nbdev_export()'], cwd=root, check=True
    )


# -- executing ---------------------------------------------------------------------------------------------------------


def execute(path, timeout=900):
    "The notebook at `path`, executed from a clean kernel in its own folder (nothing is written)."
    from nbclient import NotebookClient

    nb = nbformat.read(path, 4)
    for cell in nb.cells:
        if re.search(r'^#\s*\|\s*eval:\s*false', cell.source, re.M):
            cell.metadata['tags'] = ['skip-execution']
    env = {'GOMP_SPINCOUNT': '1000', **os.environ, 'IN_TEST': '1'}  # threads that wait for each other do not spin
    real = ROOT.parent / 'shared' / 'real'
    if real.is_dir():
        env.setdefault('AVNB_REAL_DATA', str(real))
    NotebookClient(
        nb,
        timeout=timeout,
        kernel_name='python3',
        extra_arguments=['--log-level=ERROR'],
        resources=dict(metadata=dict(path=str(Path(path).parent))),
    ).execute(env=env)
    return nb


def plain(error, size=4000):
    "The end of an error's text, without terminal colours."
    return re.sub(r'\x1b\[[\d;]*m', '', str(error))[-size:]


def clean(nb):
    "Drop in place what changes from run to run and says nothing: counts, metadata, widget state."
    nb.metadata = nbformat.from_dict(dict(kernelspec=KERNEL))
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type != 'code':
            continue
        cell.execution_count = None
        for out in cell.outputs:
            if 'execution_count' in out:
                out.execution_count = None
            if 'metadata' in out:
                out.metadata = nbformat.from_dict({})
            if 'data' in out and out.data.pop(WIDGET, None) and set(out.data) == {'text/plain'}:
                out.data.clear()
        cell.outputs = [out for out in cell.outputs if 'data' not in out or out.data]
    return nb


def write(text, path):
    "Write `text` to `path` through a temporary name, and only when it differs."
    if path.exists() and path.read_text(encoding='utf-8') == text:
        return
    temporary = path.with_name(f'.{path.name}.tmp')
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, path)


def save(nb, path):
    write(nbformat.writes(nb) + '\n', path)


# -- what a notebook's outputs were made from
# ---------------------------------------------------------------------------


def modules(text, root=ROOT, seen=()):
    "Names of the package's modules that `text` uses, and those that they use, and so on."
    found = set(re.findall(r'(?:\bavnb|from )\.(\w+)', text))
    for names in re.findall(r'from (?:avnb|\.) import ([\w, ]+)', text):
        found |= set(re.findall(r'\w+', names))
    if re.search(r"""(-m["',\s]+|[!%]\s*)avnb\b""", text):
        found.add('cli')
    new = {m for m in found if (root / 'avnb' / f'{m}.py').exists()} - set(seen)
    seen = set(seen) | new
    for m in new:
        seen |= modules((root / 'avnb' / f'{m}.py').read_text(encoding='utf-8'), root, seen)
    return seen


def fingerprint(path, root=ROOT):
    "Hash of a notebook's code cells and of the modules they use; comments on lines of their own do not count."
    code = '\n'.join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == 'code')
    parts = [code] + [(root / 'avnb' / f'{m}.py').read_text(encoding='utf-8') for m in sorted(modules(code, root))]
    lines = [
        line.rstrip()
        for part in parts
        for line in part.splitlines()
        if line.strip() and not re.match(r'\s*#(?!\s*\|)', line)
    ]
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def read_lock(root=ROOT):
    "`nbs/outputs.lock`: notebook -> fingerprint at the time its outputs were stored."
    path = root / 'nbs' / 'outputs.lock'
    return (
        dict(reversed(line.split(maxsplit=1)) for line in path.read_text(encoding='utf-8').splitlines())
        if path.exists()
        else {}
    )


def write_lock(lock, root=ROOT):
    write(''.join(f'{lock[name]}  {name}\n' for name in sorted(lock)), root / 'nbs' / 'outputs.lock')


# -- README ------------------------------------------------------------------------------------------------------------


def readme(path):
    """The notebook at `path` as Markdown: code and its stored outputs in fences, `#| hide` cells and directives left
    out."""
    parts = []
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == 'markdown':
            parts.append(relink(cell.source))
        if cell.cell_type != 'code' or re.search(r'^#\s*\|\s*hide\b', cell.source, re.M):
            continue
        if code := DIRECTIVE.sub('', cell.source).strip():
            parts.append(f'```python\n{code}\n```')
        parts += [as_markdown(out) for out in cell.outputs]
    return re.sub(r'\n{3,}', '\n\n', '\n\n'.join(p.strip('\n') for p in parts if p)).strip() + '\n'


def as_markdown(out):
    """One stored output; pictures belong in nbs/images/, linked from a markdown cell, because README.md cannot hold
    them."""
    data = out.get('data', {'text/plain': out.get('text', '')})
    for kind in 'text/markdown', 'text/html':
        if kind in data:
            return relink(data[kind])
    if any(kind.startswith('image/') for kind in data):
        raise ValueError('index.ipynb: save the figure in nbs/images/ and link it from a markdown cell')
    return f'```text\n{data["text/plain"].rstrip()}\n```'


def relink(text):
    "Links and pictures that are relative to nbs/, made relative to the repository's root."

    def moved(match):
        target = match[2]
        if re.match(r'[a-z]+:|[#/]', target):
            return match[0]
        return match[1] + os.path.normpath(f'nbs/{target}').replace(os.sep, '/') + match[3]

    text = re.sub(r'(\]\()([^)\s]+)(\))', moved, text)
    return re.sub(r'((?:src|href|poster)=")([^"]+)(")', moved, text)


# -- the command -------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path, help='only these (default: every one that changed)')
    parser.add_argument('--all', action='store_true', help='execute even what has not changed')
    args = parser.parse_args()
    export()
    lock, failed, everything = read_lock(), [], notebooks()
    wanted = [p.resolve() for p in args.notebooks] or everything
    names = {p: p.relative_to(ROOT).as_posix() for p in {*wanted, *everything}}
    stale = [p for p in wanted if args.all or args.notebooks or lock.get(names[p]) != fingerprint(p)]
    print(f'{len(stale)} of {len(everything)} notebooks to execute')
    for i, path in enumerate(stale):
        print(f'{i + 1:3}/{len(stale)}  {names[path]} ...', end=' ', flush=True)
        start, before = time.time(), fingerprint(path)
        try:
            nb = execute(path)
        except (
            Exception
        ) as error:  # a cell that raises, a kernel that dies, a timeout: report it and go on to the next notebook
            print(f'FAILED\n{plain(error)}')
            failed.append(names[path])
            continue
        if fingerprint(path) != before:
            raise SystemExit('changed while it was executing: nothing written, run this again')
        save(clean(nb), path)
        lock[names[path]] = before
        write_lock({k: v for k, v in lock.items() if (ROOT / k).exists()})
        print(f'{time.time() - start:.0f} s')
    for path in everything:
        save(clean(nbformat.read(path, 4)), path)
    write(readme(ROOT / 'nbs' / 'index.ipynb'), ROOT / 'README.md')
    if failed:
        raise SystemExit('failed: ' + ', '.join(failed))
    raise SystemExit(subprocess.call([sys.executable, '-m', 'pytest', 'tests/test_sync.py'], cwd=ROOT))


if __name__ == '__main__':
    main()
