// A request names what it needs by its variables, and this script provides it: accessToken is a login, guestName and
// guestPassword are random, and guestToken, guestRefreshToken, guestSession and guestId belong to an account with them.
const content = JSON.stringify(pm.request);
const uses = (...names) => names.some((name) => content.includes(`{{${name}}}`));
for (const name of ['guestId', 'guestToken']) pm.variables.unset(name);

function skip(why) {
  if (!pm.execution) throw new Error(why);
  pm.test.skip(why, () => {});
  pm.execution.skipRequest();
}

// authorize makes accessToken valid: it keeps the token, refreshes it, or logs in.
function authorize(then) {
  const renew = (session) => { keep(session); then(); };
  const mine = saved('refreshToken') && saved('loggedInAs') === pm.variables.get('username');
  if (mine && Date.now() < Number(saved('renewAt'))) return then();
  if (!mine) return logInWithPassword(renew);
  send('POST', '/token', { form: { grant_type: 'refresh_token', refresh_token: saved('refreshToken') } }, (answer) => {
    if (answer.code === 200) renew(answer.json());
    else logInWithPassword(renew); // the session has expired
  });
}

function logInWithPassword(then) {
  const [username, password] = ['username', 'password'].map((name) => pm.variables.get(name));
  if (!username || !password) return giveUp('Set the variables username and password, in an environment or with --env-var.');
  if (!then) return; // the request itself logs in
  logIn(username, password, pm.variables.get('scope'), (answer) => {
    if (answer.code === 200) then(answer.json());
    else giveUp(`Logging in as ${username}: ${refusal(answer)}`);
  });
}

function prepare() {
  if (uses('password')) logInWithPassword();
  for (const name of ['guestPassword', 'newPassword']) pm.variables.set(name, random());
  const json = { username: `guest-${random()}`, password: pm.variables.get('guestPassword') };
  pm.variables.set('guestName', json.username);
  if (!uses('guestId', 'guestToken', 'guestRefreshToken')) return;
  // The registration mails a code. The request that mails another one comes within a minute of it, so it mails none.
  if (content.includes('verification')) json.email = `${json.username}@example.com`;
  send('POST', '/users', { json }, (created) => {
    if (created.code === 403) return skip('Registration is closed, so no guest can be created for this request.');
    if (created.code !== 201) return giveUp(`Registering a guest: ${refusal(created)}`);
    pm.variables.set('guestId', created.json().id);
    if (!uses('guestId')) logInAsGuest(json.password, (answer) => {
      if (answer.code !== 200) return giveUp(`Logging in as the guest: ${refusal(answer)}`);
      const { access_token: token, refresh_token: refreshToken } = answer.json();
      pm.variables.set('guestToken', token);
      pm.variables.set('guestRefreshToken', refreshToken);
      pm.variables.set('guestSession', JSON.parse(Buffer.from(token.split('.')[1], 'base64').toString()).sid);
    });
  });
}

const { auth } = pm.request; // undefined where the request inherits it
if (auth?.type === 'basic' && !pm.variables.get('clientId')) {
  skip('Set the variables clientId and clientSecret to send the requests of a service client.');
} else if (!auth || uses('accessToken')) {
  authorize(prepare);
} else {
  prepare();
}
