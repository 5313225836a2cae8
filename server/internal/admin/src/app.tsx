// The administrator's page. shell.tsx is its frame, screens.ts lists what it shows, auth.ts signs people in.
import { render } from 'preact';
import { start } from './auth';
import { onLanguage } from './i18n';
import { Shell } from './shell';

const root = document.getElementById('app');
let times = 0;

// show renders everything again, in the language of the person. What they have typed stays: it is a draft.
function show() {
  if (root) render(<Shell key={times++} />, root);
}

onLanguage(show);
show();
void start();
