from authlib.integrations.requests_client import OAuth2Session

session = OAuth2Session(
    "first-party",
    token_endpoint="http://127.0.0.1:8080/token",  # with it, the token is refreshed before it runs out
    token_endpoint_auth_method="none",
)
session.fetch_token(username="johndoe", password="knock-knock")
print(session.get("http://127.0.0.1:8080/users/me").json()["username"])  # johndoe

# What the guide does not show.
import requests
from authlib.integrations.base_client import OAuthError

first = dict(session.token)
assert first["scope"] == "me:read me:write", first

session.refresh_token()
assert session.token["refresh_token"] != first["refresh_token"]

session.token["expires_at"] = 1  # long ago
second = session.token["refresh_token"]
assert session.get("http://127.0.0.1:8080/users/me").status_code == 200
assert session.token["refresh_token"] != second, "the library did not refresh by itself"


def refusal(call):
    try:
        call()
    except OAuthError as error:
        return error.error
    raise AssertionError("was not refused")


stranger = OAuth2Session("first-party", token_endpoint="http://127.0.0.1:8080/token", token_endpoint_auth_method="none")
assert refusal(lambda: stranger.fetch_token(username="johndoe", password="knock-knack")) == "invalid_grant"

# The endpoints can be discovered, and the client be named in the header.
metadata = requests.get("http://127.0.0.1:8080/.well-known/oauth-authorization-server").json()
basic = OAuth2Session("first-party", "", token_endpoint_auth_method="client_secret_basic")
token = basic.fetch_token(metadata["token_endpoint"], username="johndoe", password="knock-knock", scope="me:read")
assert token["scope"] == "me:read", token
basic.revoke_token(metadata["revocation_endpoint"], token["refresh_token"])
assert refusal(lambda: basic.refresh_token(metadata["token_endpoint"], token["refresh_token"])) == "invalid_grant"

# A refresh sends the scopes of the session again. Those that the account does not have are left out, as at the login.
wide = OAuth2Session(
    "first-party", scope="me:read me:write users:read",
    token_endpoint="http://127.0.0.1:8080/token", token_endpoint_auth_method="none",
)
assert wide.fetch_token(username="johndoe", password="knock-knock")["scope"] == "me:read me:write"
wide.token["expires_at"] = 1
assert wide.get("http://127.0.0.1:8080/users/me").status_code == 200
assert wide.token["scope"] == "me:read me:write" and wide.token["expires_at"] > 1, wide.token
