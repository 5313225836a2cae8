// The plugin with the form of the Authorize dialog for the password flow. Swagger UI's own form tells a refusal below the
// scopes, where a phone does not show it, does not say which scopes were granted, and asks everybody for a client.
import { post, endpoint } from './session.js';

const invalid = 'The server did not accept the login';

// ask requests a token (RFC 6749 §4.3). It returns the token or the message to show.
async function ask(address, form) {
  let answer;
  try {
    answer = await post(address, form);
    const body = await answer.json();
    if (answer.ok && body.access_token) return { token: body };
    const retry = answer.headers.get('Retry-After');
    return { message: `${body.error_description || body.error || invalid}${retry ? ` Try again in ${retry} s.` : ''}` };
  } catch {
    return { message: answer ? `${invalid} (${answer.status}).` : 'The server could not be reached. Try again.' };
  }
}

const words = (list) => (list || '').split(' ').filter(Boolean);

export const login = {
  wrapComponents: {
    oauth2: (OAuth2, { React, getSystem }) => {
      const h = React.createElement;

      // Field is a labelled input. Its refusal is announced, and connected to it for screen readers.
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

      const Form = ({ name, schema, close }) => {
        const { authActions, errActions } = getSystem();
        const [ticked, tick] = React.useState([]);
        const [message, refuse] = React.useState('');
        const form = React.useRef(null);
        React.useLayoutEffect(() => {
          if (message) form.current.querySelector('#oauth_password').parentNode.scrollIntoView({ block: 'nearest' });
        }, [message]);
        const submit = async (event) => {
          event.preventDefault();
          const value = (id) => form.current.elements[id].value;
          const auth = { name, schema, username: value('oauth_username'), password: value('oauth_password'), scopes: ticked, clientId: value('client_id'), clientSecret: value('client_secret') };
          errActions.clear({ authId: name, type: 'auth', source: 'auth' });
          refuse(''); // a screen reader announces the same refusal again
          const { token, message: refusal } = await ask(endpoint(schema.get('tokenUrl'), getSystem()), {
            grant_type: 'password', username: auth.username, password: auth.password,
            ...ticked.length && { scope: ticked.join(' ') },
            ...auth.clientId && { client_id: auth.clientId }, ...auth.clientSecret && { client_secret: auth.clientSecret },
          });
          if (token) return authActions.authorizeOauth2({ auth, token });
          refuse(refusal);
          form.current?.querySelector('#oauth_password').focus({ preventScroll: true });
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
          h('div', { className: 'auth-btn-wrapper' },
            h('button', { type: 'submit', className: 'btn modal-btn auth authorize' }, 'Log in'),
            h('button', { type: 'button', className: 'btn modal-btn auth btn-done', onClick: close }, 'Close')));
      };

      const LoggedIn = ({ name, auth, close }) => {
        const asked = auth.get('scopes');
        const granted = words(auth.getIn(['token', 'scope']) ?? [...asked].join(' ')); // absent if it is what was asked for (RFC 6749 §5.1)
        const missing = [...asked].filter((scope) => !granted.includes(scope));
        const leave = () => {
          const { authActions, errActions } = getSystem();
          errActions.clear({ authId: name, type: 'auth', source: 'auth' });
          authActions.logout([name]);
        };
        return h('div', null,
          h('div', { role: 'status' },
            h('p', { className: 'logged-in' }, `Logged in as ${auth.get('username')}`,
              granted.length > 0 && [' with ', h('code', { key: 'scopes' }, granted.join(' '))]),
            missing.length > 0 && h('p', { className: 'not-granted' }, 'Not granted, because this account does not have it: ', h('code', null, missing.join(' ')))),
          h('div', { className: 'auth-btn-wrapper' },
            h('button', { type: 'button', className: 'btn modal-btn auth', onClick: leave }, 'Log out'),
            h('button', { type: 'button', className: 'btn modal-btn auth btn-done', onClick: close }, 'Close')));
      };

      return (props) => {
        const { name, schema, getComponent, errSelectors, authSelectors } = props;
        if (schema.get('flow') !== 'password') return h(OAuth2, props);
        const auth = authSelectors.authorized().get(name);
        const root = React.useRef(null);
        React.useLayoutEffect(() => { root.current.querySelector('#oauth_username, .btn-done').focus(); }, [!auth]);
        const Markdown = getComponent('Markdown', true);
        const close = () => getSystem().authActions.showDefinitions(false);
        const errors = errSelectors.allErrors().filter((error) => error.get('authId') === name);
        return h('div', { ref: root },
          h('h4', null, `${name} (password)`),
          !auth && schema.get('description') && h(Markdown, { source: schema.get('description') }),
          [...errors].map((error, i) => h('p', { key: i, role: 'alert', className: 'refusal errors' }, error.get('message'))),
          auth ? h(LoggedIn, { name, auth, close }) : h(Form, { name, schema, close }));
      };
    },
  },
};
