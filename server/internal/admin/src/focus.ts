// The focus, and the clicks, of the whole page.

// keepFocus moves the focus to what is left around an element that has been removed with it, such as a button in a row that is deleted.
// The browser would move it to the beginning of the page, where a person with a keyboard or a screen reader has lost the place.
export function keepFocus(root: HTMLElement) {
  let path: HTMLElement[] = []; // what had the focus last, and what is around it
  root.addEventListener('focusin', (event) => { path = event.composedPath().filter((target) => target instanceof HTMLElement); });
  new MutationObserver(() => {
    if (document.activeElement !== document.body || path[0]?.isConnected !== false) return;
    const left = path.find((element) => element.isConnected && element.matches('form, section, dialog, main'));
    if (left) left.tabIndex = -1;
    left?.focus({ preventScroll: true });
  }).observe(root, { childList: true, subtree: true });
}

// ignoreDoubleClicks makes a double-click one click: the second one would repeat a step that was faster, or press what has appeared there.
export function ignoreDoubleClicks() {
  addEventListener('click', (event) => {
    if (event.detail < 2 || !(event.target instanceof Element) || !event.target.closest('button')) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
}
