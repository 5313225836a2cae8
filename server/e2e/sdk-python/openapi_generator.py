import sesame

with sesame.ApiClient() as api:  # the generated client knows the address
    token = sesame.TokensApi(api).create_token("password", username="johndoe", password="knock-knock")
    api.configuration.access_token = token.access_token
    accounts = sesame.AccountsApi(api)

    user = accounts.update_me(sesame.UserUpdate(full_name=None))  # None clears; left out, it keeps
    try:
        accounts.change_password(sesame.PasswordChange(current_password="a guess", new_password="a wooden horse"))
    except sesame.ApiException as refused:
        problem = refused.data
    print(user.username, problem.code.value, problem.errors[0].pointer)  # johndoe wrong_password /current_password

# What the guide does not show.
from sesame.exceptions import BadRequestException, UnauthorizedException, UnprocessableEntityException

assert user.full_name is None
assert isinstance(problem, sesame.Problem)
assert (problem.status, problem.code, problem.errors[0].pointer) == (422, sesame.ErrorCode.WRONG_PASSWORD, "/current_password")


def refusal(kind, call):
    try:
        call()
    except kind as refused:
        return refused.data
    raise AssertionError("was not refused")


with sesame.ApiClient() as api:
    tokens, accounts = sesame.TokensApi(api), sesame.AccountsApi(api)
    api.configuration.access_token = token.access_token
    assert accounts.update_me(sesame.UserUpdate(full_name="John")).full_name == "John"
    assert accounts.update_me(sesame.UserUpdate()).full_name == "John"
    # The model refuses this by itself, before the server does.
    long = sesame.UserUpdate.model_construct(full_name="x" * 201)
    long = refusal(UnprocessableEntityException, lambda: accounts.update_me(long))
    assert (long.code, long.errors[0].pointer) == (sesame.ErrorCode.VALIDATION_FAILED, "/full_name")

    fresh = tokens.create_token("refresh_token", refresh_token=token.refresh_token)
    assert fresh.refresh_token != token.refresh_token
    wrong = refusal(BadRequestException, lambda: tokens.create_token("password", username="johndoe", password="no"))
    assert wrong.error is sesame.OAuthErrorCode.INVALID_GRANT

    api.configuration.access_token = fresh.access_token
    me = accounts.get_me()
    assert me.id == user.id and me.updated_at >= user.updated_at
    assert sesame.SessionsApi(api).list_sessions().next_cursor is None
    tokens.revoke_token(fresh.refresh_token)
    assert refusal(UnauthorizedException, accounts.get_me).code is sesame.ErrorCode.INVALID_TOKEN
