// The export of events. A response that was cut is continued after its last whole line, as exportEvents says.
import { Failure } from '../api';
import { authorizedFetch, base } from '../auth';
import type { Query } from './events';

const attempts = 4; // without a new line in between

export async function download(query: Query, signal: AbortSignal, progress: (lines: number) => void): Promise<Blob> {
  const chunks: string[] = [];
  let lines = 0, after = '';
  for (let left = attempts; ;) {
    try {
      const answer = await authorizedFetch(new Request(address(query, after), { signal }));
      if (!answer.ok || !answer.body) throw await refusal(answer);
      for await (const text of whole(answer.body)) {
        chunks.push(text);
        lines += text.split('\n').length - 1;
        after = (JSON.parse(text.slice(text.lastIndexOf('\n', text.length - 2) + 1)) as { id: string }).id;
        left = attempts;
        progress(lines);
      }
      return new Blob(chunks, { type: 'application/jsonl' });
    } catch (fault) {
      if (signal.aborted || fault instanceof Failure && fault.status !== 503 || --left === 0) throw fault;
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  }
}

function address({ kind, ...filters }: Query, after: string) {
  const query = new URLSearchParams({ ...filters, ...kind && { kind: kind.join(',') }, ...after && { after } });
  return new URL(`${base}/events/export?${query}`, location.href);
}

// whole yields the text of a body as whole lines.
async function* whole(body: ReadableStream<Uint8Array>) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const end = rest.lastIndexOf('\n') + 1;
    if (end > 0) yield rest.slice(0, end);
    rest = rest.slice(end);
  }
}

async function refusal(answer: Response) {
  const problem = await answer.json().catch(() => ({})) as { detail?: string; code?: string };
  return new Failure(answer.status, problem.detail ?? answer.statusText, problem.code, answer.headers.get('X-Request-ID') ?? '');
}

// saveExport lets the browser save a file.
export function saveExport(file: Blob) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = `events-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
