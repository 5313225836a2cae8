"""Throwaway accounts: some operations end the session or the account that calls them."""

import base64
import functools
import hashlib
import json
import os
import pathlib
import secrets
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

import requests


@dataclass
class Account:
    username: str
    password: str
    token: str
    refresh_token: str

    @property
    def session_id(self):
        return json.loads(base64.urlsafe_b64decode(self.token.split(".")[1] + "=="))["sid"]



class Accounts:
    """The account that calls now, and every token that one of them had."""

    def __init__(self):
        self.current = None
        self.tokens = set()

    def living(self, base):
        """An account whose token is taken: the current one, or else a new one."""
        if self.current is None or not self._lives(base):
            self.current = newcomer(base)
            self.tokens.add(self.current.token)
        return self.current

    def _lives(self, base):
        bearer = {"Authorization": f"Bearer {self.current.token}"}
        return requests.get(f"{base}/users/me", headers=bearer, timeout=10).status_code == 200


def register(base):
    """Makes an account, and gives it and its password."""
    name, password = f"st-{secrets.token_hex(8)}", secrets.token_hex(16)
    who = {"username": name, "password": password, "email": f"{name}@example.com"}
    answer = requests.post(f"{base}/users", json=who, timeout=10)
    answer.raise_for_status()
    return answer.json(), password


def make_client(base):
    """Makes a client, and gives its id."""
    bearer = {"Authorization": f"Bearer {administrator(base).token}"}
    answer = requests.post(f"{base}/clients", json=client(), headers=bearer, timeout=10)
    answer.raise_for_status()
    return answer.json()["client_id"]


def remove_providers(base):
    """Removes every provider, since there can be few."""
    bearer = {"Authorization": f"Bearer {administrator(base).token}"}
    for provider in requests.get(f"{base}/providers", headers=bearer, timeout=10).json()["items"]:
        requests.delete(f"{base}/providers/{provider['name']}", headers=bearer, timeout=10)


def make_provider(base):
    """Makes a provider, and gives its name."""
    bearer = {"Authorization": f"Bearer {administrator(base).token}"}
    remove_providers(base)
    name = f"st-{secrets.token_hex(6)}"
    provider = {"name": name, "kind": "oidc", "issuer": f"https://{name}.example.com", "client_id": "sesame"}
    requests.post(f"{base}/providers", json=provider, headers=bearer, timeout=10).raise_for_status()
    return name


def client():
    return {"name": f"st-{secrets.token_hex(8)}", "redirect_uris": ["https://app.example.com/callback"]}


def newcomer(base, scope="openid profile email me:read me:write me:delete"):
    user, password = register(base)
    return log_in(base, user["username"], password, scope)


def log_in(base, username, password, scope):
    login = {"grant_type": "password", "username": username, "password": password, "scope": scope}
    answer = requests.post(f"{base}/token", data=login, timeout=10)
    answer.raise_for_status()
    pair = answer.json()
    return Account(username, password, pair["access_token"], pair["refresh_token"])


@functools.cache
def administrator(base):
    """The account of SESAME_TEST_ADMIN, which outlives the run."""
    username, _, password = os.environ["SESAME_TEST_ADMIN"].partition(":")
    return log_in(base, username, password, "users:read users:write clients:read clients:write")


def code(base, purpose):
    """A code for a new account, as if it had been mailed, and the account's password: to "confirm" the address, or to
    "reset" the password of any account that has it.

    Nobody reads mails here, and an address gets one a minute. So the code is put where the server keeps what it has
    mailed: into the SQLite file that SESAME_TEST_DATABASE names.
    """
    user, password = register(base)
    code = secrets.token_urlsafe(32)
    row = {
        "hash": hashlib.sha256(code.encode()).hexdigest(),
        "purpose": purpose,
        "user_id": user["id"] if purpose == "confirm" else None,
        "email": user["email"],
        "email_key": user["email"],
        "expires_at": int(time.time() + 600) * 1_000_000,
    }
    file = pathlib.Path(os.environ["SESAME_TEST_DATABASE"]).absolute().as_uri()
    with closing(sqlite3.connect(f"{file}?mode=rw", uri=True, timeout=10)) as database, database:
        names = ", ".join(row), ", ".join(f":{name}" for name in row)
        database.execute("INSERT INTO one_time_codes ({}) VALUES ({})".format(*names), row)
    return code, password
