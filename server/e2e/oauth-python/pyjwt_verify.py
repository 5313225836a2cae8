import jwt

keys = jwt.PyJWKClient("http://127.0.0.1:8080/.well-known/jwks.json")


def verify(access_token):
    if jwt.get_unverified_header(access_token).get("typ") != "at+jwt":  # which PyJWT leaves to its callers
        raise jwt.InvalidTokenError("not an access token")
    return jwt.decode(
        access_token,
        keys.get_signing_key_from_jwt(access_token),
        algorithms=["ES256"],
        issuer="http://127.0.0.1:8080",
        audience="http://127.0.0.1:8080",
        options={"require": ["exp", "sub", "scope"]},
    )  # sub is the user's id


# What the guide does not show.
import base64
import json

import requests

token = requests.post("http://127.0.0.1:8080/token", {
    "grant_type": "password", "username": "johndoe", "password": "knock-knock"}).json()["access_token"]
claims = verify(token)
me = requests.get("http://127.0.0.1:8080/users/me", headers={"Authorization": f"Bearer {token}"}).json()
assert (claims["sub"], claims["scope"], claims["client_id"]) == (me["id"], "me:read me:write", "first-party"), claims


def encode(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


header, payload, signature = token.split(".")
plain = jwt.get_unverified_header(token)
forgeries = {
    "another user": (header, encode({**claims, "sub": "019ad827-9c2f-713a-a564-7e27e6b20354"}), signature),
    "no signature": (encode({**plain, "alg": "none"}), payload, ""),
    "another type": (encode({**plain, "typ": "JWT"}), payload, signature),
    "another signature": (header, payload, ("B" if signature[0] == "A" else "A") + signature[1:]),
}
for name, parts in forgeries.items():
    try:
        verify(".".join(parts))
    except jwt.InvalidTokenError:
        continue
    raise AssertionError(f"{name} was accepted")
try:
    jwt.decode(token, keys.get_signing_key_from_jwt(token), algorithms=["ES256"], audience="https://another.example")
    raise AssertionError("a token for another service was accepted")
except jwt.InvalidAudienceError:
    pass
print(claims["scope"], "refused:", ", ".join(forgeries))
