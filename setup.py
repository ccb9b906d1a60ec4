"All package data comes from settings.ini; setuptools reads it here."
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

config = ConfigParser(delimiters=['='], interpolation=None, inline_comment_prefixes=('#',))
config.read(Path(__file__).parent/'settings.ini', encoding='utf-8')
data = config['DEFAULT']

def lines(key):
    "The values of a key that holds one value per line."
    return [line.strip() for line in data.get(key, '').splitlines() if line.strip()]

setup(version=data['version'], description=data['description'], author=data['author'], author_email=data['author_email'],
    keywords=data['keywords'].split(), packages=[data['lib_path']],
    package_data={data['lib_path']: ['static/**/*']}, install_requires=lines('requirements'),
    extras_require=dict(dev=lines('dev_requirements')), zip_safe=False,
    entry_points=dict(console_scripts=lines('console_scripts'), nbdev=[f"{data['lib_path']}={data['lib_path']}._modidx:d"]))
