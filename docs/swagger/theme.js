// For both pages: dark or light, as the reader's system prefers, also when that changes; and no link of a page to itself.

export const dark = matchMedia('(prefers-color-scheme: dark)');

// unlink turns the links in root that lead to the page itself into text.
export function unlink(root) {
  for (const link of root.querySelectorAll('a[href]')) {
    if (!link.hash && link.origin === location.origin && link.pathname === location.pathname) link.removeAttribute('href');
  }
}
