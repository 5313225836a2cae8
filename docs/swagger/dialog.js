// The Authorize dialog for a keyboard and for a screen reader. Swagger UI draws it over the page, but
// leaves the focus behind it. Inside a real dialog element the browser keeps the focus within, closes
// it with Escape, and gives the focus back.
(() => {
  'use strict';

  // entry is what to begin with: the first field, or Close for those who are logged in.
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

  // press lets Enter apply what was typed, as in any form, and Tab go round: the browser would leave
  // the dialog for its own buttons.
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

  // Swagger UI would keep what was typed, so that whoever presses Authorize after a logout is logged in
  // again. Under another key the form is another one.
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

  // What went wrong is read out.
  const errors = (Errors, { React }) => (props) =>
    React.createElement('div', { role: 'alert', className: 'notice' }, React.createElement(Errors, props));

  const plugin = { wrapComponents: { authorizationPopup: popup, oauth2, errors } };
  SwaggerUIBundle.plugins.DownloadUrl = [SwaggerUIBundle.plugins.DownloadUrl, plugin];
})();
