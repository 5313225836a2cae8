import sesame.ApiException;
import sesame.Configuration;
import sesame.api.AccountsApi;
import sesame.api.SessionsApi;
import sesame.api.TokensApi;
import sesame.model.ErrorCode;
import sesame.model.OAuthError;
import sesame.model.OAuthErrorCode;
import sesame.model.PasswordChange;
import sesame.model.Problem;
import sesame.model.User;
import sesame.model.UserUpdate;

public class Guide {
  public static void main(String[] args) throws Exception {
    var api = Configuration.getDefaultApiClient(); // which knows the server's address
    var token = new TokensApi(api).createToken("password", "johndoe", "knock-knock", null, null, null, null, null, null, null, null, null, null, null);
    api.setRequestInterceptor(request -> request.setHeader("Authorization", "Bearer " + token.getAccessToken()));
    var accounts = new AccountsApi(api);

    User user = accounts.updateMe(new UserUpdate().fullName(null)); // null clears; left out, it keeps
    try {
      accounts.changePassword(new PasswordChange().currentPassword("a guess").newPassword("a wooden horse"));
    } catch (ApiException refused) {
      var problem = api.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
      System.out.println(user.getUsername() + " " + problem.getCode() + " " + problem.getErrors().get(0).getPointer());
    }
    beyondTheGuide(user, token.getRefreshToken());
  }

  static void beyondTheGuide(User user, String refreshToken) throws Exception {
    var api = Configuration.getDefaultApiClient();
    var accounts = new AccountsApi(api);
    var tokens = new TokensApi(api);
    check(user.getFullName() == null, user);
    user = accounts.updateMe(new UserUpdate().fullName("John"));
    check(user.getFullName().equals("John"), user);
    user = accounts.updateMe(new UserUpdate());
    check(user.getFullName().equals("John"), user);
    user = accounts.updateMe(new UserUpdate().fullName(null));
    check(user.getFullName() == null, user);

    var problem = refusal(422, Problem.class, () -> accounts.updateMe(new UserUpdate().fullName("x".repeat(201))));
    check(problem.getCode() == ErrorCode.VALIDATION_FAILED, problem);
    check(problem.getErrors().get(0).getPointer().equals("/full_name"), problem);
    var wrong = refusal(400, OAuthError.class, () -> tokens.createToken("password", "johndoe", "no", null, null, null, null, null, null, null, null, null, null, null));
    check(wrong.getError() == OAuthErrorCode.INVALID_GRANT, wrong);
    check(ErrorCode.fromValue("added_later") == ErrorCode.UNKNOWN_DEFAULT_OPEN_API, "an unknown code");

    var fresh = tokens.createToken("refresh_token", null, null, refreshToken, null, null, null, null, null, null, null, null, null, null);
    check(!fresh.getRefreshToken().equals(refreshToken), "the refresh token is the old one");
    api.setRequestInterceptor(request -> request.setHeader("Authorization", "Bearer " + fresh.getAccessToken()));
    var again = new AccountsApi(api);
    check(again.getMe().getId().equals(user.getId()), user);
    check(new SessionsApi(api).listSessions().getNextCursor() == null, "there are more sessions");
    tokens.revokeToken(fresh.getRefreshToken(), null, null, null);
    var gone = refusal(401, Problem.class, again::getMe);
    check(gone.getCode() == ErrorCode.INVALID_TOKEN, gone);
  }

  interface Call {
    void run() throws ApiException;
  }

  static <T> T refusal(int status, Class<T> kind, Call call) throws Exception {
    try {
      call.run();
    } catch (ApiException refused) {
      check(refused.getCode() == status, refused);
      return Configuration.getDefaultApiClient().getObjectMapper().readValue(refused.getResponseBody(), kind);
    }
    throw new AssertionError("was not refused");
  }

  static void check(boolean holds, Object otherwise) {
    if (!holds) {
      throw new AssertionError(otherwise);
    }
  }
}
