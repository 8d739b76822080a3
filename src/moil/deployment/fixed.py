"""What is never shipped unless it is named: what tools leave behind, what a program writes, and what is secret.

The lists are of names, and of the marks by which a directory says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

_DIRECTORIES = {
    **dict.fromkeys((".git", ".hg", ".svn", ".bzr", ".jj", "CVS"), "the files of version control"),
    **dict.fromkeys(("__pycache__", ".ipynb_checkpoints", ".eggs"), "what tools can make again"),
    **dict.fromkeys((".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".pytype"), "the cache of a tool"),
    **dict.fromkeys((".tox", ".nox", "node_modules", ".direnv"), "an environment of a tool"),
    **dict.fromkeys((".idea", ".vscode"), "the settings of an editor"),
    **dict.fromkeys((".aws", ".ssh", ".gnupg", ".kube", ".docker"), "where secrets are kept"),
    "moil-runs": "where Moil keeps runs",
}
_BUILT = (".egg-info", ".dist-info")
_MARKS = (("pyvenv.cfg", "a virtual environment"), ("CACHEDIR.TAG", "a cache, by its CACHEDIR.TAG"))
_STORE = frozenset(("format", "objects", "journal", "tmp"))
_FILES = ("*.py[cod]", "*~", "*.sw[op]", ".DS_Store", ".coverage", ".coverage.*", "*.egg-link", ".nfs*", ".moilignore")

_SECRETS = (
    *(".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.ovpn"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*_rsa", "*_ed25519", "authorized_keys", "known_hosts"),
    *(".netrc", "_netrc", ".pypirc", ".npmrc", ".pgpass", ".my.cnf", ".git-credentials", ".htpasswd", ".dockercfg"),
    *("credentials", "credentials.*", "credentials*.json", "client_secret*.json", "service[-_]account*.json"),
    *("secret", "secrets", "secrets.*", "secret.*", ".secrets*", "*.token", ".token", "token.json", "kubeconfig", ".vault*"),
    *(".s3cfg", ".boto", "rclone.conf", ".boto.cfg", "*.gpg", "*.asc.key", ".password*", "password.txt", "passwords.txt"),
)
_EXAMPLES = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


_IS_LEFT, _IS_SECRET, _IS_EXAMPLE = map(_any_of, (_FILES, _SECRETS, _EXAMPLES))


def directory_rule(name: str, listing: Iterable[str]) -> str:
    """Why a directory is never shipped, from its name and what is in it; "" if it may be."""
    if name in _DIRECTORIES:
        return f"it is {_DIRECTORIES[name]}"
    if name.endswith(_BUILT):
        return "it is what a build has left"
    names = set(listing)
    for mark, words in _MARKS:
        if mark in names:
            return f"it is {words}"
    return "it is the job store of a run" if names >= _STORE else ""


def file_rule(name: str) -> str:
    """Why a file that is not code is never shipped, from its name; "" if it may be."""
    if name.endswith((".egg-info", ".egg-link")):
        return "it is what a build has left"
    return "it is what tools leave behind" if _IS_LEFT.match(name) else ""


def is_secret(name: str) -> bool:
    """Whether a name looks like that of a secret. Examples and public keys are none."""
    lower = name.lower()
    return bool(_IS_SECRET.match(lower)) and not _IS_EXAMPLE.match(lower)
