// A request that has the collection's authorization needs a token: the one that is there, or one for the
// refresh token, or one for the password.
const { auth } = pm.request; // none where it is inherited
if (!auth || JSON.stringify(auth).includes('{{accessToken}}')) {
  const saved = (name) => pm.collectionVariables.get(name);
  const mine = saved('refreshToken') && saved('loggedInAs') === pm.variables.get('username');
  if (!mine) {
    logIn(keep);
  } else if (Date.now() > Number(saved('renewAt'))) {
    const form = { grant_type: 'refresh_token', refresh_token: saved('refreshToken') };
    send('POST', '/token', { form }, (answer) => {
      if (answer.code === 200) keep(answer.json());
      else logIn(keep); // the session has ended meanwhile
    });
  }
} else if (auth.type === 'basic' && !pm.variables.get('clientId')) {
  skip('Set the variables clientId and clientSecret to try what only a service client may do.');
}
