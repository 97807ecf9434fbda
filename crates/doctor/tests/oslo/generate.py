#!/usr/bin/env python3
"""Writes what oslo.config itself makes of the files beside it: golden.json.

Run it with a Python that has oslo.config (`pip install oslo.config`); the answers are committed, so
that tests need neither. It was last run with the version that the first line of its output names.
"""
import importlib.metadata
import json
import os
import sys

from oslo_config import cfg, iniparser

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = os.path.join(HERE, "files")


class Lines(iniparser.BaseParser):
    """All assignments, as iniparser sees them."""

    def __init__(self):
        self.section, self.found = None, []

    def new_section(self, section):
        self.section = section

    def assignment(self, key, value):
        if not self.section:
            raise self.parse_exc("no section", self.lineno, key)
        self.found.append([self.section, key, "\n".join(value)])


def parsed(text):
    lines = Lines()
    try:
        lines.parse(text.splitlines(keepends=True))
    except iniparser.ParseError:
        return None
    return lines.found


def effective(arguments):
    conf = cfg.ConfigOpts()
    paths = [a.replace("@", FILES + "/") for a in arguments]
    conf(paths, project="nosuchproject", default_config_files=[], default_config_dirs=[])
    names = set()
    for sections in conf._namespace._parsed:
        for section, keys in sections.items():
            names.update((section, key) for key in keys)
    for section, key in names:
        group = None if section == "DEFAULT" else section.lower()
        conf.register_opt(cfg.StrOpt(key), group=group)
    out = {}
    for section, key in sorted(names):
        group = conf if section == "DEFAULT" else conf[section.lower()]
        try:
            out[f"{section}/{key}"] = getattr(group, key)
        except Exception as e:
            out[f"{section}/{key}"] = None
    return out


TEXTS = [
    open(os.path.join(FILES, "a.conf")).read(),
    "a = 1\n", "[s]\nword\n", "[s\n", "[]\n", "[s]\n= 1\n", "[s]\n  a\n",
    "[s]\na = 1\n# end\n  b\n", "[s]\na = 1\n\n  b\n", "[s]\na = 1\n  b\n   \n  c\n",
    "[s]\na = 'x\"\nb = 'x'\nc = ''\nd = '\ne = \"a\" \"b\"\n", "[s] \na=1\n", "[s]x\na=1\n",
    "[s]\na\t=\tb\t\n\tc\n[t]\n", "[s]\na = é\n\tü\n", "", "\n\n", "[s]\r\na = 1\r\n  b\r\n",
    "[s]\n;c\n#d\n ; e\n", "[s]\na = 1\n ; e\n", "[s]\na::b\n:c\n", "[a]b]\nc=1\n",
]
COMMANDS = [
    ["--config-file=@a.conf"],
    ["--config-file", "@a.conf", "--config-file", "@b.conf"],
    ["--config-file=@b.conf", "--config-file=@a.conf"],
    ["--config-file=@a.conf", "--config-dir=@d.conf.d"],
    ["--config-dir", "@d.conf.d", "--config-file", "@a.conf"],
]
golden = {
    "oslo.config": importlib.metadata.version("oslo.config"),
    "parsed": [[text, parsed(text)] for text in TEXTS],
    "effective": [[command, effective(command)] for command in COMMANDS],
}
json.dump(golden, sys.stdout, indent=1, sort_keys=True)
print()
