// The administrator's page. shell.tsx is its frame, screens.ts lists what it shows, auth.ts signs people in.
import { render } from 'preact';
import { start } from './auth';
import { keepFocus, ignoreDoubleClicks } from './focus';
import { onLanguage } from './i18n';
import { Shell } from './shell';

const root = document.getElementById('app');

// show renders everything again, in the language of the person. The components stay, with what has been typed and the focus.
function show() {
  if (root) render(<Shell />, root);
}

onLanguage(show);
show();
if (root) keepFocus(root);
ignoreDoubleClicks();
void start();
