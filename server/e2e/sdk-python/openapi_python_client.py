from sesame_client import AuthenticatedClient, Client
from sesame_client.api.accounts import change_password, update_me
from sesame_client.api.tokens import create_token
from sesame_client.models import PasswordChange, Problem, Token, TokenRequest, TokenRequestGrantType, User, UserUpdate

token = create_token.sync(
    client=Client("http://127.0.0.1:8080"),
    body=TokenRequest(TokenRequestGrantType.PASSWORD, username="johndoe", password="knock-knock"),
)
assert isinstance(token, Token), token  # otherwise it is an OAuthError
sesame = AuthenticatedClient("http://127.0.0.1:8080", token.access_token)

user = update_me.sync(client=sesame, body=UserUpdate(full_name=None))  # None clears; left out, it keeps
assert isinstance(user, User), user
problem = change_password.sync(client=sesame, body=PasswordChange("a guess", "a wooden horse"))
assert isinstance(problem, Problem), problem
print(user.username, problem.code, problem.errors[0].pointer)  # johndoe wrong_password /current_password

# What the guide does not show.
from sesame_client.api.accounts import get_me
from sesame_client.api.sessions import end_sessions, list_sessions
from sesame_client.models import ErrorCode, OAuthError, OAuthErrorCode

assert user.full_name is None
assert (problem.status, problem.code, problem.errors[0].pointer) == (422, ErrorCode.WRONG_PASSWORD, "/current_password")
long = update_me.sync(client=sesame, body=UserUpdate(full_name="x" * 201))
assert (long.code, long.errors[0].pointer) == (ErrorCode.VALIDATION_FAILED, "/full_name")
assert update_me.sync(client=sesame, body=UserUpdate(full_name="John")).full_name == "John"
assert update_me.sync(client=sesame, body=UserUpdate()).full_name == "John"

public = Client("http://127.0.0.1:8080")
fresh = create_token.sync(client=public, body=TokenRequest(TokenRequestGrantType.REFRESH_TOKEN, refresh_token=token.refresh_token))
assert isinstance(fresh, Token) and fresh.refresh_token != token.refresh_token
wrong = create_token.sync(client=public, body=TokenRequest(TokenRequestGrantType.PASSWORD, username="johndoe", password="no"))
assert isinstance(wrong, OAuthError) and wrong.error is OAuthErrorCode.INVALID_GRANT

sesame = AuthenticatedClient("http://127.0.0.1:8080", fresh.access_token, raise_on_unexpected_status=True)
me = get_me.sync(client=sesame)
assert me.id == user.id and me.updated_at >= user.updated_at
assert list_sessions.sync(client=sesame).next_cursor is None
assert end_sessions.sync_detailed(client=sesame).status_code == 204
gone = get_me.sync(client=sesame)
assert isinstance(gone, Problem) and gone.code is ErrorCode.INVALID_TOKEN
