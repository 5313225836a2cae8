// The plugin that makes the Authorize dialog usable with a keyboard and a screen reader. Swagger UI draws the dialog over
// the page but leaves the focus behind it. In a dialog element the browser keeps the focus inside, closes the dialog with
// Escape, and returns the focus. login.js has the form for people.

import { flow } from './code.js';

// entry is the element that gets the focus first: the first field, or Close after a login.
const entry = (root) => root.querySelector('input:not([type=checkbox]), .btn-done');

const popup = (Popup, { React, getSystem }) => function Dialog(props) {
  const ref = React.useRef(null);
  const close = (event) => {
    event.preventDefault();
    getSystem().authActions.showDefinitions(false);
  };
  React.useLayoutEffect(() => {
    const dialog = ref.current;
    dialog.querySelector('.close-modal').setAttribute('aria-label', 'Dismiss');
    dialog.showModal();
    entry(dialog)?.focus();
    return () => dialog.close();
  }, []);
  return React.createElement('dialog', {
    ref, 'aria-label': 'Available authorizations', onCancel: close, onKeyDown: cycle,
  }, React.createElement(Popup, props));
};

// cycle keeps Tab in the dialog: the browser would move on to its own buttons.
function cycle(event) {
  const { key, shiftKey, target, currentTarget } = event;
  const stops = [...currentTarget.querySelectorAll('a[href], button, input, select, summary')].filter((stop) => stop.checkVisibility());
  const [from, to] = shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
  if (key === 'Tab' && target === from) {
    event.preventDefault();
    to.focus();
  }
}

// The credentials of service clients are folded, because people do not have any, unless the dialog asks for nothing else.
const auths = (Auths, { React, getSystem }) => function Scheme(props) {
  const { authSelectors } = getSystem();
  const ref = React.useRef(null);
  React.useLayoutEffect(() => { // the buttons have names that differ from their text
    for (const button of ref.current?.querySelectorAll('.auth-btn-wrapper [aria-label]') ?? []) button.removeAttribute('aria-label');
  });
  const joined = props.definitions.some((scheme, name) => scheme.get('flow') === 'authorizationCode' && flow(name, getSystem()));
  if (joined) return null; // login.js shows it with the password flow
  const form = React.createElement('div', { ref }, React.createElement(Auths, props));
  const isBasic = (definition) => definition.every((scheme) => scheme.get('type') === 'http' && scheme.get('scheme') === 'basic');
  if (!isBasic(props.definitions)) return form;
  const alone = authSelectors.shownDefinitions().every(isBasic);
  const used = props.definitions.some((scheme, name) => authSelectors.authorized().has(name));
  return React.createElement('details', { className: 'client', open: alone || used || undefined },
    React.createElement('summary', null, 'Credentials of a service client'), form);
};

// Screen readers announce errors.
const errors = (Errors, { React }) => (props) =>
  React.createElement('div', { role: 'alert', className: 'notice' }, React.createElement(Errors, props));

export const dialog = { wrapComponents: { authorizationPopup: popup, auths, errors } };
