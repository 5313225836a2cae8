// The plugin with the form of the Authorize dialog for people: the password flow, and beside it the authorization code flow. Swagger
// UI's own forms show a refusal below the scopes, where a phone does not show it, do not say which scopes were granted, ask every
// person for a client, and list the scopes once for each flow.
import { elsewhere, flow, own, signIn } from './code.js';
import { endpoint, post } from './session.js';

let React, h, getSystem; // of Swagger UI
let left = false; // somebody has logged out on this page

// ask requests a token (RFC 6749 §4.1.3, §4.3). It returns the token or the message to show.
async function ask(address, form) {
  let answer;
  try {
    answer = await post(address, form);
    const body = await answer.json();
    if (answer.ok && body.access_token) return { token: body };
    const retry = answer.headers.get('Retry-After');
    return { message: (body.error_description || `The server refused the login: ${body.error || answer.status}.`) + (retry ? ` Try again in ${retry} s.` : '') };
  } catch {
    return { message: answer ? `The server refused the login: ${answer.status}.` : 'The server could not be reached. Try again.' };
  }
}

// Field is a labelled input. Screen readers announce its refusal, and read it again with the field.
const Field = ({ id, label, message, ...input }) => h('div', { className: 'field' },
  h('label', { htmlFor: id }, label),
  h('input', { id, name: id, autoCapitalize: 'none', spellCheck: false, 'aria-invalid': !!message, 'aria-describedby': `${id}-error`, ...input }),
  h('p', { id: `${id}-error`, role: 'alert', className: 'refusal' }, message));

const Scopes = ({ scopes, ticked, tick }) => h('fieldset', { className: 'scopes' },
  h('legend', null, 'Scopes'),
  h('p', null,
    h('button', { type: 'button', 'data-all': true, onClick: () => tick([...scopes.keys()]) }, 'select all'), ' ',
    h('button', { type: 'button', onClick: () => tick([]) }, 'select none')),
  [...scopes].map(([name, description]) => h('label', { key: name, className: 'scope' },
    h('input', {
      type: 'checkbox', 'data-value': name, checked: ticked.includes(name),
      onChange: ({ target }) => tick(target.checked ? [...ticked, name] : ticked.filter((other) => other !== name)),
    }),
    h('span', null, h('code', null, name), ' ', h('span', { className: 'description' }, description)))));

const Button = ({ children, className = '', ...props }) =>
  h('button', { type: 'button', className: `btn modal-btn auth ${className}`, ...props }, children);

const Close = () => h(Button, { className: 'btn-done', onClick: () => getSystem().authActions.showDefinitions(false) }, 'Close');

function clearErrors(name) {
  getSystem().errActions.clear({ authId: name, type: 'auth', source: 'auth' });
}

// Browser is the other way to log in.
const Browser = ({ submit, message }) => {
  const page = elsewhere();
  return h('div', { className: 'browser' },
    h('p', null, 'Or sign in on a page of this server, with the scopes above and no password here (authorization code flow with PKCE).'),
    page ? h('p', null, 'That works at ', h('a', { href: page }, page))
      : h('div', { className: 'auth-btn-wrapper' }, h(Button, { className: 'sign-in', onClick: submit }, 'Sign in with the browser')),
    h('p', { role: 'alert', className: 'refusal' }, message));
};

function Form({ name, schema }) {
  const [ticked, tick] = React.useState([]);
  const [message, refuse] = React.useState('');
  const [trouble, report] = React.useState(''); // with the browser
  const form = React.useRef(null);
  React.useLayoutEffect(() => {
    if (message) form.current.elements.oauth_password.parentNode.scrollIntoView({ block: 'nearest' });
  }, [message]);
  const code = flow(name, getSystem());
  const values = () => ['oauth_username', 'oauth_password', 'client_id', 'client_secret'].map((id) => form.current.elements[id].value);
  const clear = () => {
    clearErrors(name);
    [refuse, report].forEach((set) => set('')); // otherwise a screen reader would not announce the same refusal again
  };
  const browse = async () => {
    const [, , clientId, clientSecret] = values();
    const client = { client_id: clientId || own, ...clientSecret && { client_secret: clientSecret } };
    clear();
    const answer = await signIn({ name, schema: code, scopes: ticked, clientId: client.client_id, again: left }, getSystem());
    const { token, message: refusal } = answer.form ? await ask(endpoint(code.get('tokenUrl'), getSystem()), { ...answer.form, ...client }) : answer;
    if (token) {
      getSystem().authActions.authorizeOauth2({ auth: { name, schema: code, scopes: ticked, clientId: client.client_id, clientSecret }, token });
    } else {
      report(refusal);
    }
  };
  const submit = async (event) => {
    event.preventDefault();
    const [username, password, clientId, clientSecret] = values();
    clear();
    const { token, message: refusal } = await ask(endpoint(schema.get('tokenUrl'), getSystem()), {
      grant_type: 'password', username, password, ...ticked.length && { scope: ticked.join(' ') },
      ...clientId && { client_id: clientId }, ...clientSecret && { client_secret: clientSecret },
    });
    if (token) {
      getSystem().authActions.authorizeOauth2({ auth: { name, schema, username, password, scopes: ticked, clientId, clientSecret }, token });
    } else {
      refuse(refusal);
      form.current?.elements.oauth_password.focus({ preventScroll: true });
    }
  };
  const scopes = schema.get('allowedScopes') || schema.get('scopes');
  return h('form', { ref: form, onSubmit: submit },
    h(Field, { id: 'oauth_username', label: 'Username', autoComplete: 'username', type: 'text' }),
    h(Field, { id: 'oauth_password', label: 'Password', autoComplete: 'current-password', type: 'password', message }),
    scopes?.size ? h(Scopes, { scopes, ticked, tick }) : null,
    h('details', null,
      h('summary', null, 'Log in through a client'),
      h(Field, { id: 'client_id', label: 'client_id', type: 'text', autoComplete: 'off' }),
      h(Field, { id: 'client_secret', label: 'client_secret', type: 'password', autoComplete: 'off' })),
    h('div', { className: 'auth-btn-wrapper' }, h(Button, { type: 'submit', className: 'authorize' }, 'Log in'), h(Close)),
    code && h(Browser, { submit: browse, message: trouble }));
}

function LoggedIn({ name, auth }) {
  const asked = [...auth.get('scopes')];
  // A server leaves the scope out if it is what was asked for (RFC 6749 §5.1).
  const granted = (auth.getIn(['token', 'scope']) ?? asked.join(' ')).split(' ').filter(Boolean);
  const missing = asked.filter((scope) => !granted.includes(scope));
  const leave = () => {
    clearErrors(name);
    left = true;
    getSystem().authActions.logout([name]);
  };
  return h('div', null,
    h('div', { role: 'status' },
      h('p', { className: 'logged-in' }, auth.get('username') ? `Logged in as ${auth.get('username')}` : 'Logged in with the browser',
        granted.length > 0 && ' with ', granted.length > 0 && h('code', null, granted.join(' '))),
      missing.length > 0 && h('p', { className: 'not-granted' }, 'Not granted to this account: ', h('code', null, missing.join(' ')))),
    h('div', { className: 'auth-btn-wrapper' }, h(Button, { onClick: leave }, 'Log out'), h(Close)));
}

function Password({ name, schema, getComponent, errSelectors, authSelectors }) {
  const auth = authSelectors.authorized().get(name);
  const root = React.useRef(null);
  React.useLayoutEffect(() => { root.current.querySelector('#oauth_username, .btn-done').focus(); }, [!auth]);
  const errors = errSelectors.allErrors().filter((error) => error.get('authId') === name);
  return h('div', { ref: root },
    h('h4', null, `${name} (${flow(name, getSystem()) ? 'password, authorizationCode' : 'password'})`),
    !auth && schema.get('description') && h(getComponent('Markdown', true), { source: schema.get('description') }),
    [...errors].map((error, i) => h('p', { key: i, role: 'alert', className: 'refusal errors' }, error.get('message'))),
    auth ? h(LoggedIn, { name, auth }) : h(Form, { name, schema }));
}

export const login = {
  wrapComponents: {
    oauth2: (OAuth2, system) => {
      ({ React, getSystem } = system);
      h = React.createElement;
      return (props) => h(props.schema.get('flow') === 'password' ? Password : OAuth2, props);
    },
  },
};
