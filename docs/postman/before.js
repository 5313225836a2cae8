
// A request names what it needs by its variables, and this script provides it: accessToken is the login, guestToken and
// guestId are those of a new account, guestName is a name for one, and otherSession and
// otherRefreshToken are those of a second session.
const content = JSON.stringify(pm.request);
const uses = (name) => content.includes(`{{${name}}}`);
for (const name of ['guestName', 'guestId', 'guestToken', 'otherToken']) pm.variables.unset(name);

function skip(why) {
  if (!pm.execution) throw new Error(why);
  pm.test.skip(why, () => {});
  pm.execution.skipRequest();
}

// logInAs opens a session of the account whose username and password the person has set.
function logInAs(then) {
  const [username, password] = ['username', 'password'].map((name) => pm.variables.get(name));
  if (!username || !password) return giveUp('Set the variables username and password, in an environment or with --env-var.');
  if (!then) return; // the request itself logs in
  logIn(username, password, (answer) => {
    if (answer.code === 200) then(answer.json());
    else giveUp(`Logging in as ${username}: ${refusal(answer)}`);
  });
}

// authorize makes accessToken valid: it keeps the token, refreshes it, or logs in.
function authorize(then) {
  const renew = (session) => { keep(session); then(); };
  if (!saved('refreshToken') || saved('loggedInAs') !== pm.variables.get('username')) return logInAs(renew);
  if (Date.now() < Number(saved('renewAt'))) return then();
  send('POST', '/token', { form: { grant_type: 'refresh_token', refresh_token: saved('refreshToken') } }, (answer) => {
    if (answer.code === 200) renew(answer.json());
    else logInAs(renew); // the session has expired
  });
}

function nameGuest() {
  pm.variables.set('guestName', `guest-${random()}`);
  pm.variables.set('guestPassword', random());
  pm.variables.set('newPassword', random());
}

// registerGuest creates an account with a random name and password. after.js deletes it.
function registerGuest() {
  nameGuest();
  const password = pm.variables.get('guestPassword');
  const json = { username: pm.variables.get('guestName'), password };
  // The registration mails a code. The request that mails another one comes within a minute of it, so it mails none.
  if (content.includes('verification')) json.email = `${json.username}@example.com`;
  send('POST', '/users', { json }, (created) => {
    if (created.code === 403) return skip('Registration is closed, so no guest can be created for this request.');
    if (created.code !== 201) return giveUp(`Registering a guest: ${refusal(created)}`);
    pm.variables.set('guestId', created.json().id);
    if (!uses('guestToken')) return;
    logInAsGuest(password, (answer) => {
      if (answer.code === 200) pm.variables.set('guestToken', answer.json().access_token);
      else giveUp(`Logging in as the guest: ${refusal(answer)}`);
    });
  });
}

function prepare() {
  if (uses('guestToken') || uses('guestId')) registerGuest();
  else if (uses('guestName')) nameGuest();
  else if (uses('password')) logInAs();
  if (uses('otherRefreshToken') || uses('otherSession')) {
    logInAs((session) => {
      pm.variables.set('otherToken', session.access_token);
      pm.variables.set('otherRefreshToken', session.refresh_token);
      pm.variables.set('otherSession', JSON.parse(Buffer.from(session.access_token.split('.')[1], 'base64').toString()).sid);
    });
  }
  if (uses('fullName')) {
    send('GET', '/users/me', { token: saved('accessToken') }, (answer) => {
      if (answer.code === 403) return skip('The token may not read the name that this request would write back.');
      if (answer.code !== 200) return giveUp(`Reading the full name: ${refusal(answer)}`);
      // JSON, including null. A brace must not look like the beginning of a variable.
      pm.variables.set('fullName', JSON.stringify(answer.json().full_name).replace(/\{/g, '\\u007b'));
    });
  }
}

const { auth } = pm.request; // undefined where the request inherits it
if (auth?.type === 'basic' && !pm.variables.get('clientId')) {
  skip('Set the variables clientId and clientSecret to send the requests of a service client.');
} else if (!auth || uses('accessToken')) {
  authorize(prepare);
} else {
  prepare();
}
