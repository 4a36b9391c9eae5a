"""How the host reaches the network (proxy, private CA, package index), for setup and for nothing else."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

AT = "/run/relay"  # where setup's container finds the files of `lay_out`
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_INDEXES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "npm_config_registry",
    "NPM_CONFIG_REGISTRY",
    "GOPROXY",
)
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_NAMED_BY = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_TOLD_BY = (*_NAMED_BY, "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE", "DENO_CERT")


@dataclass(frozen=True)
class HostAccess:
    """The host's CA bundle, and the variables that say how to get out: proxies and package indexes."""

    ca_bundle: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, environ: Mapping[str, str], *, pip_config: str | None = None) -> HostAccess:
        """What `environ` and the host's pip configuration say. `pip_config`: the text of `pip config list`.

        Only http and https addresses count: a path means nothing inside a container.
        """
        env: dict[str, str] = {}
        said = _pip_config(environ) if pip_config is None else pip_config
        env.update(_indexes_of_pip(said))
        for name in _INDEXES:
            if kept := _reachable(environ.get(name, ""), commas=name == "GOPROXY"):
                env[name] = kept
        for name in _PROXIES:
            for spelling in (name, name.upper()):
                if environ.get(spelling):
                    env[spelling] = environ[spelling]
        named = [environ[name] for name in _NAMED_BY if environ.get(name)]
        bundle = next((Path(path) for path in (*named, *_BUNDLES) if Path(path).is_file()), None)
        return cls(bundle, env)

    def lay_out(self, folder: Path) -> dict[str, str]:
        """Write what the container must see into `folder` (mounted at /run/relay); the environment of setup."""
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        env = dict(self.env)
        if self.ca_bundle is not None:
            shutil.copyfile(self.ca_bundle, folder / "ca.pem")
            # apt asks no variable for its CA (apt.conf(5)).
            (folder / "apt.conf").write_text(f'Acquire::https::CAInfo "{AT}/ca.pem";\n')
            env.update(dict.fromkeys(_TOLD_BY, f"{AT}/ca.pem"))
            env["APT_CONFIG"] = f"{AT}/apt.conf"
            for file in folder.iterdir():
                file.chmod(0o644)
        return env


def _pip_config(environ: Mapping[str, str]) -> str:
    pip = shutil.which("pip", path=environ.get("PATH")) or shutil.which("pip3", path=environ.get("PATH"))
    if pip is None:
        return ""
    try:
        done = subprocess.run([pip, "config", "list"], env=dict(environ), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _indexes_of_pip(said: str) -> dict[str, str]:
    """From lines like `global.index-url='https://...'`; those of `:env:` are in the environment anyway."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        match = re.fullmatch(r"(?:global|install)\.((?:extra-)?index-url)=(.*)", line.strip())
        if match is None:
            continue
        try:
            value = " ".join(shlex.split(match[2]))
        except ValueError:
            continue
        if kept := _reachable(value.replace("\\n", " ")):
            found["PIP_" + match[1].upper().replace("-", "_")] = kept
    return found


def _reachable(value: str, *, commas: bool = False) -> str:
    parts = value.split(",") if commas else value.split()
    kept = [
        part for part in parts if part.startswith(("http://", "https://")) or (commas and part in ("direct", "off"))
    ]
    return ("," if commas else " ").join(kept)
