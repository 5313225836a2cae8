# A web application that signs people in with Authlib. It remembers one browser.
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlencode, urlparse

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

ISSUER, APP = os.environ["ISSUER"], os.environ["APP"]
metadata = requests.get(ISSUER + "/.well-known/openid-configuration").json()
assert metadata["issuer"] == ISSUER
keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"]).json())
session = OAuth2Session(
    os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], scope="openid profile email", redirect_uri=APP + "/callback",
    code_challenge_method="S256", token_endpoint=metadata["token_endpoint"],
)
visit = {}


def claims(text, **params):
    decoded = jwt.decode(text, keys, algorithms=metadata["id_token_signing_alg_values_supported"])
    params |= {"client_id": session.client_id, "access_token": session.token["access_token"]}
    checks = {"iss": {"value": ISSUER}, "aud": {"value": session.client_id}}
    token = CodeIDToken(decoded.claims, decoded.header, checks, params)
    token.validate()  # at_hash and nonce, too
    return token


def sign_in(path):
    visit.update(verifier=generate_token(48), nonce=generate_token())
    address, visit["state"] = session.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=visit["verifier"], nonce=visit["nonce"]
    )
    return address


def callback(path):
    session.fetch_token(authorization_response=APP + path, state=visit["state"], code_verifier=visit["verifier"])
    subject = claims(session.token["id_token"], nonce=visit["nonce"])["sub"]
    info = session.get(metadata["userinfo_endpoint"]).json()
    assert info["sub"] == subject
    visit["name"] = info["preferred_username"]
    return APP


def refresh(path):
    before = session.token["refresh_token"]
    session.token["expires_at"] = 1  # long ago: the library refreshes by itself
    assert session.post(metadata["userinfo_endpoint"]).json()["preferred_username"] == visit["name"]
    assert session.token["refresh_token"] != before
    claims(session.token["id_token"])
    return APP


def sign_out(path):
    hint = session.token["id_token"]
    visit.clear()
    return metadata["end_session_endpoint"] + "?" + urlencode({"id_token_hint": hint, "post_logout_redirect_uri": APP + "/bye"})


pages = {
    "/": lambda path: f"Hello {visit['name']}" if "name" in visit else APP + "/sign-in",
    "/sign-in": sign_in,
    "/callback": callback,
    "/refresh": refresh,
    "/sign-out": sign_out,
    "/bye": lambda path: "Bye",
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        text = pages[urlparse(self.path).path](self.path)
        leads = text.startswith("http")
        self.send_response(303 if leads else 200)
        if leads:
            self.send_header("Location", text)
        self.end_headers()
        if not leads:
            self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


HTTPServer(("127.0.0.1", urlparse(APP).port), Handler).serve_forever()
