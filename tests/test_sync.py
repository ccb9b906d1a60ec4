"The package, the stored outputs and README.md are what the notebooks say, and the notebooks keep the house's style."

import ast
import re
import shutil
import statistics
import subprocess
import sys

import nbformat
import pytest
from prepare import DIRECTIVE, ROOT, WIDGET, export, fingerprint, notebooks, read_lock, readme

NOTEBOOKS = {p.relative_to(ROOT).as_posix(): nbformat.read(p, 4) for p in notebooks()}
HAND_WRITTEN = {'__init__.py', '__main__.py'}
TORCH_HOOKS = {'forward', 'extra_repr', 'state_dict', 'load_state_dict'}  # torch's own names, documented there
EXPORT = re.compile(r'^#\s*\|\s*exporti?s?\b', re.M)
ABSOLUTE = re.compile(r'(?<![\w.:/])/(?:home|root|work|tmp|Users|mnt|data|private|var)/[\w./-]+')


def fail_if(problems, remedy):
    if problems:
        pytest.fail('\n  '.join([remedy + ':', *problems]), pytrace=False)


def text_of(cell):
    "Everything a reader of a cell can see as text: the source, and what was printed."
    parts = [cell.source]
    for out in cell.get('outputs', []):
        parts += [
            out.get('text', ''),
            *out.get('traceback', []),
            *(v for k, v in out.get('data', {}).items() if k.startswith('text/')),
        ]
    return '\n'.join(parts)


def module_of(nb):
    "The module a notebook exports to, or None."
    return next((m[1] for c in nb.cells if (m := re.search(r'^#\s*\|\s*default_exp\s+(\w+)', c.source, re.M))), None)


MODULES = {module: name for name, nb in NOTEBOOKS.items() if (module := module_of(nb))}


def definitions(cell):
    "The functions and classes that an exported cell defines."
    if cell.cell_type != 'code' or not EXPORT.search(cell.source):
        return []
    return [
        n for n in ast.parse(cell.source).body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]


def exported_cells():
    "Every exported cell that defines something, as (notebook, position, cells, definitions)."
    return [
        (name, i, nb.cells, defs)
        for name, nb in NOTEBOOKS.items()
        for i, c in enumerate(nb.cells)
        if (defs := definitions(c))
    ]


def code_lines(cell):
    return sum(bool(line.strip()) for line in DIRECTIVE.sub('', cell.source).splitlines())


# -- made from the notebooks -------------------------------------------------------------------------------------------


def test_package_equals_notebooks(tmp_path):
    shutil.copytree(ROOT / 'nbs', tmp_path / 'nbs')
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)
    (tmp_path / 'avnb').mkdir()
    export(tmp_path)
    exported = {p.name: p.read_text() for p in (tmp_path / 'avnb').glob('*.py') if p.name not in HAND_WRITTEN}
    package = {p.name: p.read_text() for p in (ROOT / 'avnb').glob('*.py') if p.name not in HAND_WRITTEN}
    fail_if(
        sorted(name for name in {*exported, *package} if exported.get(name) != package.get(name)),
        'these modules are not what the notebooks export; edit the notebook, then `make prepare`',
    )


def test_readme_equals_index():
    assert (ROOT / 'README.md').read_text() == readme(ROOT / 'nbs' / 'index.ipynb'), (
        'README.md is not nbs/index.ipynb: run `make prepare`'
    )


def test_outputs_are_of_this_code():
    lock = read_lock()
    fail_if(
        [name for name in NOTEBOOKS if lock.get(name) != fingerprint(ROOT / name)],
        'changed, themselves or a module they use, since their outputs were stored; run `make prepare`',
    )
    fail_if(
        sorted(lock.keys() - NOTEBOOKS.keys()), 'nbs/outputs.lock names notebooks that are gone; run `make prepare`'
    )


def test_every_code_cell_was_executed_without_an_error():
    fail_if(
        [
            f'{name}: {out.ename}: {out.evalue}'
            for name, nb in NOTEBOOKS.items()
            for c in nb.cells
            if c.cell_type == 'code'
            for out in c.outputs
            if out.output_type == 'error'
        ],
        'an error is stored as an output',
    )


# -- clean -------------------------------------------------------------------------------------------------------------


def test_notebooks_are_clean():
    problems = []
    for name, nb in NOTEBOOKS.items():
        code = [c for c in nb.cells if c.cell_type == 'code']
        if set(nb.metadata) - {'kernelspec'}:
            problems.append(f'{name}: metadata {sorted(set(nb.metadata) - {"kernelspec"})}')
        if 'kernelspec' not in nb.metadata:
            problems.append(f'{name}: no kernelspec, so JupyterLab asks for one')
        if any(c.metadata for c in nb.cells):
            problems.append(f'{name}: cell metadata')
        if any(c.execution_count or any(o.get('execution_count') for o in c.outputs) for c in code):
            problems.append(f'{name}: execution counts')
        if any(WIDGET in o.get('data', {}) for c in code for o in c.outputs):
            problems.append(f'{name}: widget state')
    fail_if(problems, 'not clean; run `make prepare`')


def test_no_absolute_path():
    fail_if(
        [
            f'{name}: {path}'
            for name, nb in NOTEBOOKS.items()
            for c in nb.cells
            for path in sorted(set(ABSOLUTE.findall(text_of(c))))
        ],
        'paths of one machine in a notebook; print names relative to a folder',
    )


def test_notebooks_are_small():
    fail_if(
        [f'{name}: {size / 1e6:.1f} MB' for name in NOTEBOOKS if (size := (ROOT / name).stat().st_size) >= 1e6],
        'notebooks of 1 MB or more; make figures smaller (dpi 80)',
    )


def test_links_lead_somewhere():
    texts = {'README.md': (ROOT / 'README.md').read_text()}
    texts |= {
        name: '\n'.join(c.source for c in nb.cells if c.cell_type == 'markdown') for name, nb in NOTEBOOKS.items()
    }
    problems = []
    for name, text in texts.items():
        for target in re.findall(r'\]\(([^)\s]+)\)|(?:src|href|poster)="([^"]+)"', text):
            target = ''.join(target).split('#')[0]
            if target and not re.match(r'[a-z]+:|[#/]', target) and not ((ROOT / name).parent / target).exists():
                problems.append(f'{name}: {target}')
    fail_if(problems, 'links to what is not there')


# -- style -------------------------------------------------------------------------------------------------------------


def test_title_and_subtitle():
    fail_if(
        [name for name, nb in NOTEBOOKS.items() if not re.match(r'# \S.*\n+(\S.*\n+)?> \S', nb.cells[0].source + '\n')],
        'the first cell is a title and, under it, a one-line `> subtitle`',
    )


def test_functions_and_exported_cells_are_short():
    long = [
        f'{name}: {f.name}, {n} lines'
        for name, _, _, defs in exported_cells()
        for d in defs
        for f in ast.walk(d)
        if isinstance(f, ast.FunctionDef) and (n := f.end_lineno - f.lineno + 1) > 40
    ]
    fail_if(long, 'functions of more than 40 lines; cut them along their ideas')
    sizes = {}
    for name, i, cells, _ in exported_cells():
        sizes.setdefault(name, []).append(code_lines(cells[i]))
    fail_if(
        [f'{name}: {max(s)} lines' for name, s in sizes.items() if max(s) > 65],
        'exported cells of more than 65 lines of code: classes with long signatures need some, nothing needs more',
    )
    fail_if(
        [f'{name}: {statistics.median(s):g}' for name, s in sizes.items() if statistics.median(s) > 28],
        'median of more than 28 lines in an exported cell, signatures and docstrings included',
    )


def test_lines_are_no_longer_than_120_columns():
    "The formatter wraps code, long texts are wrapped by hand; scripts for the browser are left as they are."
    paths = [p for d in ('avnb', 'benchmarks', 'tests', 'tools') for p in sorted((ROOT / d).glob('*.py'))]
    long = [
        f'{p.relative_to(ROOT)}, line {k}'
        for p in paths
        if p.name != '_modidx.py'
        for k, line in enumerate(p.read_text().splitlines(), 1)
        if len(line) > 120
        and not line.startswith('__all__')
        and not re.search('=>|const |&& |errors.push|p = Player|return {', line)
    ]
    fail_if(long, 'lines of more than 120 columns')


def test_exported_cells_are_shown_at_work():
    def shows(c):
        return c.cell_type == 'code' and not EXPORT.search(c.source) and code_lines(c)

    fail_if(
        [
            f'{name}: {", ".join(d.name for d in defs)}'
            for name, i, cells, defs in exported_cells()
            if not any(map(shows, cells[i + 1 : i + 4]))
        ],
        'defined, and none of the next three cells shows anything',
    )


def test_public_names_are_documented():
    problems = []
    for name, _, _, defs in exported_cells():
        inner = [
            (d, m)
            for d in defs
            if isinstance(d, ast.ClassDef) and not d.name.startswith('_')
            for m in d.body
            if isinstance(m, ast.FunctionDef)
        ]
        problems += [f'{name}: {n.name}' for n in defs if not n.name.startswith('_') and not ast.get_docstring(n)]
        problems += [
            f'{name}: {d.name}.{m.name}'
            for d, m in inner
            if not m.name.startswith('_') and m.name not in TORCH_HOOKS and not ast.get_docstring(m)
        ]
    fail_if(problems, 'public, and without a docstring')


def test_modules_import_lower_numbers_only():
    number = {module: int(m[1]) for module, name in MODULES.items() if (m := re.match(r'nbs/(\d+)_', name))}
    problems = []
    for module in number:
        for node in ast.walk(ast.parse((ROOT / 'avnb' / f'{module}.py').read_text())):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or '').split('.')[0] == 'avnb'):
                parts = (node.module or '').removeprefix('avnb').strip('.')
                used = [parts.split('.')[0]] if parts else [a.name for a in node.names]
            elif isinstance(node, ast.Import):
                used = [a.name.split('.')[1] for a in node.names if a.name.startswith('avnb.')]
            else:
                continue
            problems += [
                f'{module} ({number[module]:02}) imports {u} ({number[u]:02})'
                for u in used
                if u in number and number[u] > number[module]
            ]
    fail_if(problems, 'against the numbering')


def test_nothing_is_imported_or_named_in_vain():
    r = subprocess.run(
        [
            sys.executable,
            '-m',
            'ruff',
            'check',
            '--quiet',
            '--no-cache',
            '--output-format',
            'concise',
            'avnb',
            'tests',
            'benchmarks',
            'tools',
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    fail_if(
        (r.stdout + r.stderr).splitlines(),
        'imports and names that nothing uses, or that nothing defines (what is looked for is in pyproject.toml)',
    )


def words(source):
    "Names that code uses, those in strings (as `monkeypatch.setattr` takes them) included."
    found = set()
    for n in ast.walk(ast.parse(source)):
        if isinstance(n, ast.Name):
            found.add(n.id)
        elif isinstance(n, ast.Attribute):
            found.add(n.attr)
        elif isinstance(n, ast.ImportFrom):
            found.update(a.name for a in n.names)
        elif isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.isidentifier():
            found.add(n.value)
    return found


def test_public_names_are_used_by_somebody_else():
    plain = [
        re.sub(r'^\s*[%!].*', 'pass', c.source, flags=re.M)
        for nb in NOTEBOOKS.values()
        for c in nb.cells
        if c.cell_type == 'code' and not EXPORT.search(c.source)
    ]
    code = {
        p: p.read_text()
        for folder in ('avnb', 'tests', 'benchmarks', 'tools')
        for p in (ROOT / folder).glob('*.py')
        if p.name != '_modidx.py'
    }
    shown, used, problems = set().union(*map(words, plain)), {p: words(text) for p, text in code.items()}, []
    for module in MODULES:
        path = ROOT / 'avnb' / f'{module}.py'
        others = shown.union(*(names for p, names in used.items() if p != path))
        public = next(
            ast.literal_eval(n.value)
            for n in ast.parse(code[path]).body
            if isinstance(n, ast.Assign) and n.targets[0].id == '__all__'
        )
        problems += [f'{module}: {name}' for name in public if name not in others]
    fail_if(
        problems,
        'public, and used neither in a cell that shows it, nor by another module, a test, a benchmark or a tool; '
        'give it an underscore or delete it',
    )
