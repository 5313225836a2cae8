"""Throwaway accounts: some operations end the session or the account that calls them."""

import base64
import functools
import json
import os
import secrets
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
        return self._claims()["sid"]

    @property
    def user_id(self):
        return self._claims()["sub"]

    def _claims(self):
        return json.loads(base64.urlsafe_b64decode(self.token.split(".")[1] + "=="))


class Accounts:
    """The account that calls now, and every token that one of them had."""

    def __init__(self):
        self.current = None
        self.tokens = set()

    def living(self, base):
        """An account whose token is taken: the current one, or else a new one."""
        if self.current is None or not self._lives(base):
            self.current = register(base)
            self.tokens.add(self.current.token)
        return self.current

    def _lives(self, base):
        bearer = {"Authorization": f"Bearer {self.current.token}"}
        return requests.get(f"{base}/users/me", headers=bearer, timeout=10).status_code == 200


def register(base, scope="me:read me:write"):
    who = {"username": f"st-{secrets.token_hex(8)}", "password": secrets.token_hex(16)}
    requests.post(f"{base}/users", json=who, timeout=10).raise_for_status()
    return log_in(base, who["username"], who["password"], scope)


def log_in(base, username, password, scope):
    login = {"grant_type": "password", "username": username, "password": password, "scope": scope}
    answer = requests.post(f"{base}/token", data=login, timeout=10)
    answer.raise_for_status()
    pair = answer.json()
    return Account(username, password, pair["access_token"], pair["refresh_token"])


@functools.cache
def administrator(base):
    """The account of SESAME_ADMIN, which outlives the run."""
    username, _, password = os.environ["SESAME_ADMIN"].partition(":")
    return log_in(base, username, password, "users:read users:write")
