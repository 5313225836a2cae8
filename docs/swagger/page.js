// The documentation page: Swagger UI with the two plugins of this folder.
import { dialog } from './dialog.js';
import { session } from './session.js';

window.ui = SwaggerUIBundle({
  url: 'openapi.yaml',
  dom_id: '#swagger-ui',
  deepLinking: true,
  persistAuthorization: false, // it would write the typed password to the browser's storage
  validatorUrl: null, // no badge that another server renders
  plugins: [session, dialog],
});
ui.initOAuth({ appName: document.title.replace(/ API$/, '') });
