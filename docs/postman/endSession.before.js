logIn((session) => {
  pm.variables.set('sessionToEnd', claims(session.access_token).sid);
  pm.variables.set('tokenOfSessionToEnd', session.access_token);
});
