// Only in `make dev`: shows openapi.yaml as soon as it is saved, without a reload that would lose the login.
(() => {
  'use strict';

  let shown;
  const address = new URL('openapi.yaml', document.currentScript.src);

  async function look() {
    const answer = await fetch(address, { cache: 'no-cache' }).catch(() => null);
    if (!answer?.ok) return; // the server is restarting
    const text = await answer.text();
    shown ??= window.ui?.specSelectors.specStr() || text;
    if (text === shown) return;
    shown = text;
    if (window.ui) ui.specActions.updateSpec(text);
    else location.reload();
  }

  const again = () => setTimeout(() => look().finally(again), 500);
  again();
})();
