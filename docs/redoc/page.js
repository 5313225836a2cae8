// The page with ReDoc, in the colours of theme.css.
import { dark, unlink } from '../docs/theme.js';

function theme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const [accent, text, quiet, line, page, raised] = ['accent', 'text', 'quiet', 'line', 'page', 'raised'].map(color);
  return {
    colors: {
      primary: { main: accent }, success: { main: dark.matches ? '#6fcf97' : '#1a7f37' }, error: { main: color('refusal') },
      text: { primary: text, secondary: quiet }, border: { dark: line, light: raised },
      responses: {
        success: { color: dark.matches ? '#6fcf97' : '#1a7f37', backgroundColor: raised, tabTextColor: '#6fcf97' },
        redirect: { color: quiet, backgroundColor: raised, tabTextColor: '#a3acb6' },
        error: { color: color('refusal'), backgroundColor: raised, tabTextColor: '#ff8f87' },
      },
    },
    schema: { nestedBackground: raised, typeNameColor: quiet, typeTitleColor: quiet, requireLabelColor: color('refusal') },
    typography: {
      fontFamily: 'system-ui, sans-serif', fontSize: '15px', headings: { fontFamily: 'system-ui, sans-serif' },
      code: { color: color('code-text'), backgroundColor: color('code'), fontFamily: 'ui-monospace, monospace', wrap: true },
      links: { color: accent, visited: accent, hover: accent },
    },
    sidebar: { backgroundColor: raised, textColor: text, activeTextColor: accent },
    rightPanel: { backgroundColor: dark.matches ? '#0f1215' : '#263238' },
  };
}

// show renders the contract. A change of the colours needs a new element, since ReDoc computes its style once.
function show() {
  const place = document.createElement('div');
  document.querySelector('#redoc').replaceChildren(place);
  Redoc.init('docs/openapi.yaml', {
    downloadDefinitionUrl: 'openapi.yaml', showExtensions: ['x-requires-acr', 'x-requires-max-age'], theme: theme(),
  }, place);
}

new MutationObserver(() => unlink(document.body)).observe(document.querySelector('#redoc'), { childList: true, subtree: true });

dark.addEventListener('change', show);
show();
