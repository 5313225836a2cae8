"""What schemathesis must know of Sesame and cannot read from openapi.yaml, and three checks of our own.

SESAME_TEST_ANONYMOUS=1 makes the same run without any token. SESAME_TEST_CLIENT=ID:SECRET is the service client that
calls the operations which are for clients, SESAME_TEST_ADMIN=USERNAME:PASSWORD the account that calls those which are
for administrators. SESAME_TEST_DATABASE=FILE is the server's SQLite file, for the codes of mails that nobody reads.
"""

import base64
import os
import secrets
import uuid

import schemathesis
from accounts import Accounts, administrator, client, code, enrolled, invited, make_client, make_delivery, make_provider, newcomer, passkey, plant_consent, plant_factor, plant_personal_token, register, remove_providers, remove_webhooks, set_up, subject_of, with_factor
from schemathesis.openapi.checks import RejectedPositiveData

ANONYMOUS = os.environ.get("SESAME_TEST_ANONYMOUS") == "1"
SCHEME = "OAuth2Password"
CLIENT = "Basic " + base64.b64encode(os.environ.get("SESAME_TEST_CLIENT", "").encode()).decode()
SETS_TEXT = ("createUser", "inviteUser", "updateMe", "updateUser", "changePassword", "confirmPasswordReset", "renameFactor", "confirmTotp", "addPasskey", "createPersonalToken")
OWN_SCOPES = {"openid", "profile", "email", "me:read", "me:write", "me:delete"}  # those of every account
accounts = Accounts()


def name_of(case):
    return case.operation.definition.raw["operationId"]


def base_of(case):
    return case.operation.schema.get_base_url().rstrip("/")


def security_of(case):
    return case.operation.definition.raw.get("security", case.operation.schema.raw_schema["security"])


def is_uuid(value):
    try:
        return str(uuid.UUID(value)) == value
    except (ValueError, TypeError, AttributeError):
        return False


def scopes_of(case):
    """The scopes without which an operation cannot be called."""
    security = security_of(case)
    return set() if not security or {} in security else set(security[0].get(SCHEME, []))


def is_page(case):
    return case.path in ("/authorize", "/sign-out")


def is_for_clients(case):
    return any("ClientBasic" in alternative for alternative in security_of(case))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # schemathesis looks for ignored credentials of the types http and apiKey alone. Our OAuth tokens
    # are sent as those of the type http are (RFC 6750), so it may take them for such.
    raw_schema["components"]["securitySchemes"][SCHEME].update(type="http", scheme="bearer")
    # The parameters of a form are strings, each given at most once, unknown ones too (RFC 6749 §3.2).
    # Said in the contract itself, this would give every generated client a map of strings.
    for name in (
        "Token", "Revocation", "Introspection", "Authorization", "PushedAuthorization", "DeviceAuthorization", "SignOut",
    ):
        raw_schema["components"]["schemas"][name + "Request"]["additionalProperties"] = {"type": "string"}


@schemathesis.deserializer("text/html", "application/jsonl")
def page_of(ctx, response):
    return response.text


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # Several parameters of thousands of letters are more than the 16 KiB of a request's head, which net/http reads before
    # it knows the operation.
    if is_page(case) and response.status_code == 431:
        return False
    # Which letters make a name (PRECIS, one script, no invisible ones), and which passwords are guessed first, is
    # beyond a pattern: the contract says so in words.
    if isinstance(failure, RejectedPositiveData) and name_of(case) in SETS_TEXT and response.status_code == 422:
        errors = response.json()["errors"]
        return any(e["pointer"] not in ("/username", "/full_name", "/name") and not e["detail"].endswith("guessed first") for e in errors)
    return True


@schemathesis.check
def answers_are_named(ctx, response, case):
    """Every answer has an X-Request-ID; a refusal is JSON of the declared kind, whatever was asked for, or a page."""
    [request_id] = response.headers.get("x-request-id", [""])
    assert request_id or is_page(case) and response.status_code == 431, "the answer has no X-Request-ID"
    if response.status_code < 400:
        return
    [media_type] = response.headers.get("content-type", [""])
    if is_page(case) and response.status_code == 431:
        return
    if is_page(case) and response.status_code != 405:
        assert media_type.startswith("text/html"), f"a person reads {media_type}"
        return
    oauth = case.path.startswith(("/token", "/par", "/device_authorization")) and response.status_code != 405
    assert media_type == ("application/json" if oauth else "application/problem+json"), f"a refusal is {media_type}"
    if not oauth:
        problem = response.json()
        assert problem["request_id"] == request_id, "request_id is not the X-Request-ID"
        assert problem["status"] == response.status_code, "status is not the answer's"


@schemathesis.check
class EveryOperationSucceeds:
    """A run that saw nothing but refusals proves little."""

    def __init__(self):
        self.tested, self.succeeded = set(), set()

    def after_response(self, ctx, response, case):
        if ANONYMOUS and security_of(case) and {} not in security_of(case):
            return
        self.tested.add(case.operation.label)
        if response.status_code < 400:
            self.succeeded.add(case.operation.label)

    def after_run(self, ctx):
        never = sorted(self.tested - self.succeeded)
        assert not never, "never answered 2xx or 3xx: " + ", ".join(never)


# What no generator can know, for operations that would refuse everything else: what to do with a case, for
# the account that calls now, or for nobody.
def fill_registration(case, me):
    for name in ("scopes", "disabled", "email_verified"):  # which are for administrators
        case.body.pop(name, None)
    if case.meta.phase.name != "fuzzing":  # else a username that is taken hides everything after it
        case.body["username"] = f"st-{secrets.token_hex(8)}"


def fill_confirmation(case, me):
    case.body["code"], case.body["password"] = code(base_of(case), "confirm")


def fill_reset(case, me):
    case.body["code"], _ = code(base_of(case), "reset")
    case.body.pop("username", None)  # no other account has the address


def fill_authorization(case, me):
    # The client of the documentation pages, which needs no secret and shows the sign-in page.
    case.query = {name: value for name, value in case.query.items() if name in ("state", "nonce", "login_hint", "ui_locales", "acr_values")}
    case.query.update(
        response_type="code", client_id="docs", redirect_uri=f"{base_of(case)}/docs/oauth2-redirect.html", code_challenge="x" * 43, code_challenge_method="S256"
    )


def fill_pushed(case, me):
    case.body = {name: value for name, value in case.body.items() if name in ("state", "nonce", "login_hint", "ui_locales", "acr_values")}
    case.body.update(
        response_type="code", client_id="docs", redirect_uri=f"{base_of(case)}/docs/oauth2-redirect.html", code_challenge="x" * 43, code_challenge_method="S256"
    )


def fill_sign_out(case, me):
    for name in ("id_token_hint", "client_id", "post_logout_redirect_uri"):
        case.query.pop(name, None)


FILL = {"authorize": fill_authorization, "signOut": fill_sign_out, "pushAuthorizationRequest": fill_pushed, "createUser": fill_registration, "confirmEmail": fill_confirmation, "confirmPasswordReset": fill_reset}


@schemathesis.hook
def before_call(context, case, kwargs):
    # Cases are made in advance: their token may be gone by now.
    authorization = case.headers.get("Authorization", "")
    ours = authorization.removeprefix("Bearer ") in accounts.tokens
    fill = FILL.get(name_of(case))
    if not ours and fill is None:
        return
    me = None if ANONYMOUS else accounts.living(base_of(case))
    if ours:
        case.headers["Authorization"] = f"Bearer {me.token}"
    if fill and case.meta is not None and case.meta.generation.mode.is_positive:
        fill(case, me)


if not ANONYMOUS:

    @schemathesis.auth(refresh_interval=None)
    class Token:
        def get(self, case, context):
            if is_for_clients(case):
                return CLIENT
            if not scopes_of(case) <= OWN_SCOPES:
                return f"Bearer {administrator(base_of(case)).token}"
            return f"Bearer {accounts.living(base_of(case)).token}" if security_of(case) else None

        def set(self, case, credentials, context):
            case.headers["Authorization"] = credentials

    @schemathesis.check
    class ScopesAreEnforced:
        """What succeeds is refused to a token that lacks its scope: ignored_auth, for scopes."""

        def __init__(self):
            self.proven = set()

        def after_response(self, ctx, response, case):
            lacking = scopes_of(case)
            if response.status_code >= 300 or not lacking or case.operation.label in self.proven:
                return
            token = newcomer(base_of(case), " ".join(OWN_SCOPES - lacking)).token
            answer = case.derive(headers={**case.headers, "Authorization": f"Bearer {token}"}).call()
            assert answer.status_code == 403, f"answered {answer.status_code} without the scope {lacking}"
            self.proven.add(case.operation.label)

    def fill_login(case, me):
        # Other clients are refused, as the anonymous run sees.
        case.body = {key: value for key, value in case.body.items() if not key.startswith("client_")}
        if case.body.get("grant_type") in ("client_credentials", "authorization_code", "urn:sesame:grant-type:passkey"):
            case.body["grant_type"] = "password"  # a client of ours might have no scopes to ask for, and a code and a passkey need a browser
        if "grant_type" not in case.body:
            case.body.pop("refresh_token", None)  # the two together would have two readings
        if case.body.get("grant_type", "password") == "password":
            case.body.update(username=me.username, password=me.password)
        else:
            case.body["refresh_token"] = me.refresh_token

    def fill_revocation(case, me):
        case.body = {"token": me.refresh_token}

    def fill_introspection(case, me):
        # A scope is refused, and so are another client and a second secret beside the header.
        case.body = {key: value for key, value in case.body.items() if key in ("token", "token_type_hint")}

    def fill_password(case, me):
        case.body["current_password"] = me.password
        if case.body["new_password"] == me.password:  # it has to be another one
            case.body["new_password"] = secrets.token_hex(12)

    def fill_email_change(case, me):
        case.body["password"] = me.password

    def fill_session(case, me):
        # In a stateful run the id comes from a list; events have some without one.
        if case.meta.phase.name != "stateful" or not is_uuid(case.path_parameters["session_id"]):
            case.path_parameters["session_id"] = me.session_id

    def fill_page(case, me):
        case.query.pop("cursor", None)  # which only an answer can give
        case.query.pop("scope", None)  # which must be declared
        if case.query.get("q"):
            case.query.pop("sort", None)  # only an order of usernames goes with it

    def fill_events(case, me):
        fill_page(case, me)
        for name in ("actor", "client_id"):  # which exclude each other, and user_id
            case.query.pop(name, None)

    def fill_user(case, me):
        # Somebody else: the administrator must outlive the run.
        user, _ = register(base_of(case))
        case.path_parameters["user_id"] = user["id"]

    def fill_user_page(case, me):
        fill_user(case, me)
        fill_page(case, me)

    def fill_user_session(case, me):
        somebody = newcomer(base_of(case))
        case.path_parameters["user_id"], case.path_parameters["session_id"] = subject_of(somebody), somebody.session_id

    def fill_consent(case, me):
        case.path_parameters["client_id"] = plant_consent(base_of(case), subject_of(me))

    def fill_user_consent(case, me):
        fill_user(case, me)
        case.path_parameters["client_id"] = plant_consent(base_of(case), case.path_parameters["user_id"])

    def fill_client_page(case, me):
        fill_client_id(case, me)
        fill_page(case, me)

    def fill_change(case, me):
        fill_user(case, me)
        if "scopes" in case.body:  # which must be declared
            case.body["scopes"] = ["users:read"]
        case.body.pop("email_verified", None)  # which is true or absent, and needs an address

    def fill_invitation(case, me):
        fill_registration(case, me)
        case.body["email"] = f"st-{secrets.token_hex(8)}@example.com"

    def fill_invited(case, me):
        case.path_parameters["user_id"] = invited(base_of(case))

    def fill_client(case, me):
        # Names must differ, addresses and scopes be real ones, and a public client needs PKCE.
        kept = {name: value for name, value in case.body.items() if name in ("public", "third_party", "password_grant")}
        case.body = client() | kept
        if case.body.get("third_party"):
            case.body.pop("password_grant", None)  # a third party's client cannot have it

    def fill_client_id(case, me):
        case.path_parameters["client_id"] = make_client(base_of(case))

    def fill_client_change(case, me):
        fill_client_id(case, me)
        fill_client(case, me)
        case.body.pop("public", None)

    def fill_provider(case, me):
        # Names and issuers must differ, and there are 20 at most. GitHub wants a secret, and only administrators' tokens may link.
        name = f"st-{secrets.token_hex(6)}"
        remove_providers(base_of(case))
        case.body = {"name": name, "kind": "oidc", "issuer": f"https://{name}.example.com", "client_id": "sesame"}

    def fill_provider_name(case, me):
        case.path_parameters["provider"] = make_provider(base_of(case))

    def fill_provider_change(case, me):
        fill_provider_name(case, me)
        case.body = {"label": "Provider"}

    def fill_webhook(case, me):
        # There are 20 at most, and addresses must be public ones. None of them is called.
        remove_webhooks(base_of(case))
        case.body = {"url": "https://shop.example", "kinds": case.body.get("kinds", []), "disabled": True}

    def fill_webhook_id(case, me):
        case.path_parameters["webhook_id"], event = make_delivery(base_of(case))
        if "event_id" in case.path_parameters:
            case.path_parameters["event_id"] = event

    def fill_webhook_change(case, me):
        fill_webhook_id(case, me)
        case.body = {"description": "Webhook"}

    def fill_deliveries(case, me):
        fill_webhook_id(case, me)
        fill_page(case, me)

    def fill_user_info(case, me):
        case.body = {}  # the token is in the header

    def as_enrolled(case, me):
        # The account that calls now would need the second factor from then on. A token that a check has put there stays.
        if case.headers.get("Authorization") == f"Bearer {me.token}":
            case.headers["Authorization"] = f"Bearer {enrolled(base_of(case)).token}"

    def fill_factor(case, me):
        as_enrolled(case, me)
        _, case.path_parameters["factor_id"] = plant_factor(base_of(case))

    def fill_totp(case, me):
        as_enrolled(case, me)
        plant_factor(base_of(case))  # which deletes others: an account has 20 at most
        case.body["setup"], case.body["code"] = set_up(base_of(case), enrolled(base_of(case)))
        case.body.pop("end_other_sessions", None)

    def fill_passkey(case, me):
        as_enrolled(case, me)
        plant_factor(base_of(case))
        case.body["credential"] = passkey(base_of(case), enrolled(base_of(case)))

    def fill_reset_of_factors(case, me):
        # Not of that account, whose session would end.
        case.path_parameters["user_id"] = with_factor(base_of(case))

    def fill_new_token(case, me):
        # An account has 50 at most, and can only have its own scopes.
        plant_personal_token(me)
        case.body["name"], case.body["scopes"] = "Script", ["me:read"]

    def fill_personal_token(case, me):
        case.path_parameters["token_id"] = plant_personal_token(me)

    def fill_user_token(case, me):
        fill_personal_token(case, me)
        case.path_parameters["user_id"] = subject_of(me)

    FILL |= {
        "createPersonalToken": fill_new_token,
        "revokePersonalToken": fill_personal_token,
        "listUserPersonalTokens": fill_user,
        "revokeUserPersonalToken": fill_user_token,
        "renameFactor": fill_factor,
        "removeFactor": fill_factor,
        "confirmTotp": fill_totp,
        "startPasskey": as_enrolled,
        "addPasskey": fill_passkey,
        "replaceRecoveryCodes": as_enrolled,
        "resetFactors": fill_reset_of_factors,
        "inviteUser": fill_invitation,
        "resendInvitation": fill_invited,
        "startPasswordReset": fill_user,
        "postUserInfo": fill_user_info,
        "createClient": fill_client,
        "getClient": fill_client_id,
        "updateClient": fill_client_change,
        "deleteClient": fill_client_id,
        "replaceClientSecret": fill_client_id,
        "createProvider": fill_provider,
        "getProvider": fill_provider_name,
        "updateProvider": fill_provider_change,
        "deleteProvider": fill_provider_name,
        "createWebhook": fill_webhook,
        "getWebhook": fill_webhook_id,
        "updateWebhook": fill_webhook_change,
        "deleteWebhook": fill_webhook_id,
        "replaceWebhookSecret": fill_webhook_id,
        "testWebhook": fill_webhook_id,
        "listWebhooks": fill_page,
        "listDeliveries": fill_deliveries,
        "getDelivery": fill_webhook_id,
        "resendDelivery": fill_webhook_id,
        "createToken": fill_login,
        "revokeToken": fill_revocation,
        "introspectToken": fill_introspection,
        "changePassword": fill_password,
        "changeEmail": fill_email_change,
        "endSession": fill_session,
        "listEvents": fill_events,
        "exportEvents": fill_events,
        "listMails": fill_page,
        "listMyEvents": fill_page,
        "listUsers": fill_page,
        "listClients": fill_page,
        "listProviders": fill_page,
        "listConsents": fill_page,
        "withdrawConsent": fill_consent,
        "listClientConsents": fill_client_page,
        "listAllSessions": fill_page,
        "listUserSessions": fill_user,
        "endUserSessions": fill_user,
        "endUserSession": fill_user_session,
        "listUserFactors": fill_user,
        "listUserIdentities": fill_user,
        "unlockUser": fill_user,
        "listUserConsents": fill_user_page,
        "withdrawUserConsent": fill_user_consent,
        "getUser": fill_user,
        "updateUser": fill_change,
        "deleteUser": fill_user,
    }

    @schemathesis.hook
    def after_call(context, case, response):
        # What a call has changed is what the next must know.
        if name_of(case) == "changePassword" and response.status_code == 204:
            accounts.current.password = case.body["new_password"]
        if name_of(case) == "createToken" and response.status_code == 200:
            if case.body.get("refresh_token") == accounts.current.refresh_token:
                accounts.current.refresh_token = response.json()["refresh_token"]
