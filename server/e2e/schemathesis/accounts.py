"""Throwaway accounts: some operations end the session or the account that calls them."""

import base64
import functools
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import sqlite3
import time
import uuid
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


def invited(base):
    """Makes an account without a password that has had no invitation yet, and gives its id."""
    user, _ = register(base)
    with closing(database()) as connection, connection:
        connection.execute("UPDATE users SET password_hash = NULL WHERE id = ?", (user["id"],))
    return user["id"]


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


def remove_webhooks(base):
    """Removes every webhook, since there can be few."""
    bearer = {"Authorization": f"Bearer {administrator(base).token}"}
    for webhook in requests.get(f"{base}/webhooks", headers=bearer, timeout=10).json()["items"]:
        requests.delete(f"{base}/webhooks/{webhook['id']}", headers=bearer, timeout=10)


def make_delivery(base):
    """Makes a webhook that sends nothing, with one delivery, and gives their ids."""
    bearer = {"Authorization": f"Bearer {administrator(base).token}"}
    remove_webhooks(base)
    webhook = requests.post(f"{base}/webhooks", json={"url": "https://shop.example", "disabled": True}, headers=bearer, timeout=10)
    webhook.raise_for_status()
    delivery = requests.post(f"{base}/webhooks/{webhook.json()['id']}/test", headers=bearer, timeout=10)
    delivery.raise_for_status()
    return webhook.json()["id"], delivery.json()["event_id"]


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
    return log_in(base, username, password, "users:read users:write clients:read clients:write events:read settings:read settings:write")


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
    with closing(database()) as connection, connection:
        names = ", ".join(row), ", ".join(f":{name}" for name in row)
        connection.execute("INSERT INTO one_time_codes ({}) VALUES ({})".format(*names), row)
    return code, password


def database():
    file = pathlib.Path(os.environ["SESAME_TEST_DATABASE"]).absolute().as_uri()
    return sqlite3.connect(f"{file}?mode=rw", uri=True, timeout=10)


def set_up(base, account):
    """The set-up of an authenticator app, and a code that the app shows (RFC 6238)."""
    bearer = {"Authorization": f"Bearer {account.token}"}
    setup = requests.post(f"{base}/users/me/totp", headers=bearer, timeout=10)
    setup.raise_for_status()
    mac = hmac.digest(base64.b32decode(setup.json()["secret"]), int(time.time() // 30).to_bytes(8), "sha1")
    start = mac[-1] & 15
    number = int.from_bytes(mac[start : start + 4]) & 0x7FFFFFFF
    return setup.json()["setup"], f"{number % 1_000_000:06}"


def passkey(base, account):
    """A new passkey, as navigator.credentials.create returns it at localhost: the attestation is "none"."""
    options = requests.post(f"{base}/users/me/passkeys/challenges", headers={"Authorization": f"Bearer {account.token}"}, timeout=10).json()
    identifier = secrets.token_bytes(32)
    # The generator of P-256 is a point like any other: nobody signs with this key.
    x = bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
    y = bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    key = bytes.fromhex("a5010203262001215820") + x + bytes.fromhex("225820") + y  # {1: 2, 3: -7, -1: 1, -2: x, -3: y}
    data = hashlib.sha256(options["rp"]["id"].encode()).digest() + bytes.fromhex("4500000000") + bytes(16) + bytes([0, 32]) + identifier + key
    made = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58" + bytes([len(data)]) + data
    origin = base.replace("127.0.0.1", options["rp"]["id"])
    client = json.dumps({"type": "webauthn.create", "challenge": options["challenge"], "origin": origin, "crossOrigin": False}).encode()
    encoded = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (identifier, client, made)]
    response = {"clientDataJSON": encoded[1], "attestationObject": encoded[2]}
    return json.dumps({"id": encoded[0], "rawId": encoded[0], "type": "public-key", "response": response})


@functools.cache
def enrolled(base):
    """An account with a second factor, whose session has used it."""
    account = newcomer(base)
    setup, code = set_up(base, account)
    body, bearer = {"setup": setup, "code": code, "name": "Phone"}, {"Authorization": f"Bearer {account.token}"}
    requests.post(f"{base}/users/me/totp/confirm", json=body, headers=bearer, timeout=10).raise_for_status()
    form = {"grant_type": "refresh_token", "refresh_token": account.refresh_token}
    pair = requests.post(f"{base}/token", data=form, timeout=10).json()
    return Account(account.username, account.password, pair["access_token"], pair["refresh_token"])


def plant_personal_token(account):
    """A personal access token of an account in place of those before, and its id."""
    token = str(uuid.uuid4())
    with closing(database()) as connection, connection:
        connection.execute("DELETE FROM personal_tokens WHERE user_id = ?", (subject_of(account),))
        connection.execute(
            "INSERT INTO personal_tokens (id, user_id, hash, name, scope, methods, password, created_at, expires_at) VALUES (?, ?, ?, 'Script', '', '', '', 1, 1)",
            (token, subject_of(account), token),
        )
    return token


def plant_factor(base):
    """Another factor of that account in place of the one before, and its id."""
    subject = subject_of(enrolled(base))
    factor = str(uuid.uuid4())
    with closing(database()) as connection, connection:
        connection.execute("DELETE FROM factors WHERE user_id = ? AND id <> (SELECT MIN(id) FROM factors WHERE user_id = ?)", (subject, subject))
        connection.execute(
            "INSERT INTO factors (id, user_id, kind, name, secret, created_at) VALUES (?, ?, 'totp', 'Phone', '', 1)", (f"f{factor[1:]}", subject)
        )
    return subject, f"f{factor[1:]}"


def subject_of(account):
    return json.loads(base64.urlsafe_b64decode(account.token.split(".")[1] + "=="))["sub"]


def plant_consent(base, subject):
    """A client that an account has agreed to, as if its owner had on the page that asks."""
    client = make_client(base)
    with closing(database()) as connection, connection:
        connection.execute("INSERT INTO consents (user_id, client_id, scope, created_at, updated_at) VALUES (?, ?, 'openid', 1, 1)", (subject, client))
    return client


@functools.cache
def with_factor(base):
    """The id of another account with a second factor."""
    user, _ = register(base)
    with closing(database()) as connection, connection:
        connection.execute("UPDATE users SET factors = 'totp' WHERE id = ?", (user["id"],))
    return user["id"]
