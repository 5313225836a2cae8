"""What schemathesis must know to use Sesame as somebody does who has an account.

With SESAME_WITH_TOKEN=1 every request carries an access token. The account behind it is made for the
run, and made anew when a test has ended its session, changed its password or deleted it.
"""

import os
import uuid

import requests
import schemathesis

URL = os.environ.get("SESAME_URL", "http://127.0.0.1:8080")
PASSWORD = "a wooden horse"  # that of the contract's examples
ENDS_THE_SESSION = {
    "DELETE /users/me",
    "DELETE /users/me/sessions",
    "DELETE /users/me/sessions/{session_id}",
    "PUT /users/me/password",
}


class Account:
    """A registered account, and a login of it."""

    def __init__(self):
        self.username = f"st-{uuid.uuid4().hex}"
        answer = requests.post(f"{URL}/users", json={"username": self.username, "password": PASSWORD}, timeout=30)
        answer.raise_for_status()
        self.token = self.login()

    def login(self):
        form = {"grant_type": "password", "username": self.username, "password": PASSWORD}
        answer = requests.post(f"{URL}/token", data=form, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def authorization(self):
        return f"Bearer {self.token['access_token']}"

    def another_session(self):
        """The id of a session that is not the one of self.token."""
        other = {"Authorization": f"Bearer {self.login()['access_token']}"}
        items = requests.get(f"{URL}/users/me/sessions", headers=other, timeout=30).json()["items"]
        return next(session["id"] for session in items if session["current"])


_account = None
_spent = set()


def account():
    global _account
    _account = _account or Account()
    return _account


if os.environ.get("SESAME_WITH_TOKEN"):

    @schemathesis.auth(refresh_interval=None)
    class Token:
        def get(self, case, context):
            return account().authorization()

        def set(self, case, authorization, context):
            case.headers["Authorization"] = authorization


@schemathesis.hook
def before_call(context, case, kwargs):
    """Where valid data must also be true, it is made so: nobody can guess a password or a session."""
    if case.meta is None or case.meta.generation.mode.is_negative or not os.environ.get("SESAME_WITH_TOKEN"):
        return
    if case.headers and case.headers.get("Authorization") in _spent:  # set before another test ended it
        case.headers["Authorization"] = account().authorization()
    if case.operation.label == "PUT /users/me/password":
        case.body["current_password"] = PASSWORD
    elif case.operation.label == "DELETE /users/me/sessions/{session_id}":
        case.path_parameters["session_id"] = account().another_session()
    elif case.operation.label == "POST /token":
        case.body.pop("client_id", None)
        case.body.pop("client_secret", None)
        if case.body["grant_type"] == "password":
            case.body |= {"username": account().username, "password": PASSWORD}
        else:
            case.body["refresh_token"] = account().token["refresh_token"]
            forget()  # its token is used


@schemathesis.hook
def filter_body(context, body):
    """A parameter is given once (RFC 6749 §3.2), so a form has no lists."""
    if context.operation.label.startswith("POST /token") and isinstance(body, dict):
        return not any(isinstance(value, (list, dict)) for value in body.values())
    return True


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """What a username may be (RFC 8265, letters of one script) is more than a pattern can say."""
    if type(failure).__name__ != "RejectedPositiveData" or case.operation.label != "POST /users":
        return True
    return response.status_code != 422 or [e["pointer"] for e in response.json()["errors"]] != ["/username"]


@schemathesis.hook
def after_call(context, case, response):
    if case.operation.label in ENDS_THE_SESSION and response.status_code == 204:
        forget()


def forget():
    global _account
    if _account:
        _spent.add(_account.authorization())
    _account = None
