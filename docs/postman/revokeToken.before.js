logIn((session) => {
  pm.variables.set('tokenToRevoke', session.refresh_token);
});
