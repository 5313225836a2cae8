from oauthlib.oauth2 import LegacyApplicationClient
from requests_oauthlib import OAuth2Session

session = OAuth2Session(client=LegacyApplicationClient("first-party"))
session.fetch_token("http://127.0.0.1:8080/token", username="johndoe", password="knock-knock", include_client_id=True)
session.refresh_token("http://127.0.0.1:8080/token", client_id="first-party")
print(session.get("http://127.0.0.1:8080/users/me").json()["username"])  # johndoe

# What the guide does not show.
import os

from oauthlib.oauth2 import InvalidGrantError

first = session.token["refresh_token"]
session.refresh_token("http://127.0.0.1:8080/token", client_id="first-party")
assert session.token["refresh_token"] != first


def refusal(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("was not refused")


# It can leave the client out, name it in the form, and name it in the header.
for named in ({"include_client_id": False}, {"include_client_id": True}, {"auth": ("first-party", "")}, {}):
    other = OAuth2Session(client=LegacyApplicationClient("first-party"))
    token = other.fetch_token("http://127.0.0.1:8080/token", username="johndoe", password="knock-knock", scope="me:read", **named)
    assert token["scope"] == ["me:read"], token
wrong = refusal(InvalidGrantError, lambda: other.fetch_token(
    "http://127.0.0.1:8080/token", username="johndoe", password="knock-knack", include_client_id=True))
assert wrong.status_code == 400 and wrong.description, wrong

# A token that has run out is refreshed by the library.
auto = OAuth2Session(
    client=LegacyApplicationClient("first-party"), token={**session.token, "expires_in": -1, "expires_at": 1},
    auto_refresh_url="http://127.0.0.1:8080/token", auto_refresh_kwargs={"client_id": "first-party"},
    token_updater=lambda token: setattr(auto, "token", token),
)
assert auto.get("http://127.0.0.1:8080/users/me").status_code == 200
assert auto.token["refresh_token"] != session.token["refresh_token"]

# A refresh sends the scopes of the session again. Those that the account does not have are left out, as at the login.
os.environ["OAUTHLIB_RELAX_TOKEN_SCOPE"] = "1"  # otherwise the library raises a warning at fewer scopes
scopes = ["me:read", "me:write", "users:read"]
wide = OAuth2Session(client=LegacyApplicationClient("first-party", scope=scopes), scope=scopes)
first = wide.fetch_token("http://127.0.0.1:8080/token", username="johndoe", password="knock-knock", include_client_id=True)
assert first["scope"] == ["me:read", "me:write"], first
second = wide.refresh_token("http://127.0.0.1:8080/token", client_id="first-party")
assert second["scope"] == ["me:read", "me:write"] and second["refresh_token"] != first["refresh_token"], second
