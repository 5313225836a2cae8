// The documentation page: Swagger UI with the plugins of this folder.
import { dark } from './theme.js';
import { dialog } from './dialog.js';
import { login } from './login.js';
import { reading } from './reading.js';
import { session } from './session.js';

const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

window.ui = SwaggerUIBundle({
  url: 'openapi.yaml',
  dom_id: '#swagger-ui',
  deepLinking: true,
  defaultModelsExpandDepth: 0, // the schemas are folded
  persistAuthorization: false, // it would write the typed password to the browser's storage
  validatorUrl: null, // no badge that another server renders
  // With credentials of its own, the browser would answer a 401 with a dialog that blocks the page.
  requestInterceptor: (request) => Object.assign(request, { credentials: 'omit' }),
  plugins: [session, login, dialog, reading],
});
ui.initOAuth({ usePkceWithAuthorizationCodeGrant: true }); // for the schemes of other servers; code.js is for this one
