// Drafts: what a person has typed and not yet sent. They survive a reload, an expired token and a new sign-in, in the storage of this
// tab, and belong to the account that typed them. Forms never put passwords or secrets here (ui/form.tsx).

const prefix = 'sesame.draft.';
let owner = '';

// openDrafts names the person who is signed in, and deletes the drafts of others.
export function openDrafts(subject: string) {
  owner = `${prefix}${subject}.`;
  remove((key) => !key.startsWith(owner));
}

function remove(which: (key: string) => boolean) {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(prefix) && which(key)) sessionStorage.removeItem(key);
  }
}

export function readDraft(name: string): Record<string, unknown> {
  try {
    const draft: unknown = JSON.parse(sessionStorage.getItem(owner + name) ?? '{}');
    return typeof draft === 'object' && draft !== null ? draft as Record<string, unknown> : {};
  } catch {
    return {};
  }
}

export function writeDraft(name: string, values: Record<string, unknown>) {
  if (!owner) return;
  if (Object.keys(values).length === 0) sessionStorage.removeItem(owner + name);
  else sessionStorage.setItem(owner + name, JSON.stringify(values));
}

export const deleteDrafts = () => remove(() => true);
