// The plugin that makes the Authorize dialog usable with a keyboard and a screen reader. Swagger UI draws the dialog over
// the page but leaves the focus behind it. In a dialog element the browser keeps the focus inside, closes the dialog with
// Escape, and returns the focus.

// entry is the element that gets the focus first: the first field, or Close after a login.
const entry = (root) => root?.querySelector('input:not([type=checkbox]), .btn-done');

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
    ref, 'aria-label': 'Available authorizations', onCancel: close, onKeyDown: press,
  }, React.createElement(Popup, props));
};

// press makes Enter submit the form, and Tab cycle through the dialog: the browser would move on to its own buttons.
function press(event) {
  const { key, shiftKey, target, currentTarget } = event;
  const stops = [...currentTarget.querySelectorAll('a[href], a[role=button], button, input, select')];
  const [from, to] = shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
  if (key === 'Tab' && target === from) {
    event.preventDefault();
    to.focus();
  } else if (target.matches('a[role=button]') && (key === 'Enter' || key === ' ')) {
    event.preventDefault();
    target.click();
  } else if (target.matches('input:not([type=checkbox])') && key === 'Enter') {
    currentTarget.querySelector('.authorize')?.click();
  }
}

// Swagger UI would keep the typed password, so that after a logout one press of Authorize logs in again. With another
// key React creates a new form.
const oauth2 = (OAuth2, { React, getSystem }) => {
  const Form = (props) => {
    const ref = React.useRef(null);
    React.useLayoutEffect(() => {
      entry(ref.current)?.focus();
      for (const link of ref.current.querySelectorAll('.scopes a')) { // select all, select none
        link.setAttribute('role', 'button');
        link.tabIndex = 0;
      }
    }, []);
    return React.createElement('div', { ref }, React.createElement(OAuth2, props));
  };
  return (props) => React.createElement(Form, { ...props, key: getSystem().authSelectors.authorized().has(props.name) });
};

// Screen readers announce errors.
const errors = (Errors, { React }) => (props) =>
  React.createElement('div', { role: 'alert', className: 'notice' }, React.createElement(Errors, props));

export const dialog = { wrapComponents: { authorizationPopup: popup, oauth2, errors } };
